"""Knowledge bases, their data sources and models on the wire."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from indexmill.domain.knowledge_base import Chunking, ChunkingAlgorithm, DataSourceKind
from indexmill.domain.metadata_filter import Condition, MetadataFilter, Operator
from indexmill.sources.crawl_definition import DEFAULT_EXCLUDED, CrawlDefinition
from tests.dialects.indexing_jobs import vendor_models as vendor
from tests.dialects.indexing_jobs.conftest import Checked
from tests.dialects.indexing_jobs.fake_knowledge_bases import FakeIndexingService, FakeKnowledgeBases, hit

BUCKET = {"spaces_data_source": {"bucket_name": "handbook", "item_path": "public/", "region": "nyc3"}}
AWS = {"bucket_name": "b", "item_path": "", "region": "eu", "key_id": "AKIA", "secret_key": "hidden-secret"}
SITE = {"base_url": "https://example.com/docs", "crawling_option": "PATH", "exclude_tags": ["nav", ""]}
FILE = {"original_file_name": "a.pdf", "size_in_bytes": "48211", "stored_object_key": "ab12"}


def _sources(base: str) -> str:
    return f"knowledge_bases/{base}/data_sources"


def test_a_knowledge_base_is_made_and_its_job_starts(send: Checked) -> None:
    body = {"name": "kb", "datasources": [BUCKET], "tags": ["a"], "project_id": "p", "region": "tor1", "size": "XL"}
    made = send(vendor.KnowledgeBaseAnswer, "POST", "knowledge_bases", body).knowledge_base
    assert (made.name, made.tags, made.project_id, made.region) == ("kb", ["a"], "p", "tor1")
    assert made.last_indexing_job is not None
    assert made.last_indexing_job.phase == "BATCH_JOB_PHASE_PENDING"
    read = send(vendor.KnowledgeBaseRead, "GET", f"knowledge_bases/{made.uuid}")
    assert (read.database_status, read.knowledge_base) == ("ONLINE", made)


def test_without_data_sources_no_job_starts_and_nothing_is_said_of_one(send: Checked) -> None:
    body: dict[str, Any] = {"name": "kb", "datasources": [], "tags": None, "project_id": "", "database_id": ""}
    made = send(vendor.KnowledgeBaseAnswer, "POST", "knowledge_bases", body).knowledge_base
    assert made.model_fields_set == {
        "uuid", "name", "embedding_model_uuid", "collection", "is_public", "created_at", "updated_at",
    }  # fmt: skip


def test_it_is_changed_and_deleted(send: Checked, base: str) -> None:
    path = f"knowledge_bases/{base}"
    changed = send(vendor.KnowledgeBaseAnswer, "PUT", path, {"name": "", "tags": ["x"], "uuid": base}).knowledge_base
    assert (changed.name, changed.tags) == ("handbook", ["x"])
    renamed = send(vendor.KnowledgeBaseAnswer, "PUT", path, {"name": "other"}).knowledge_base
    assert (renamed.name, renamed.tags) == ("other", ["x"])
    cleared = send(vendor.KnowledgeBaseAnswer, "PUT", path, {"tags": []}).knowledge_base
    assert cleared.tags == []
    assert send(vendor.KnowledgeBaseDeleted, "DELETE", path).uuid == base
    assert send.refused(404, "GET", path).id == "not_found"


def test_the_model_is_named_by_uuid_or_id_and_never_changes(send: Checked, service: FakeIndexingService) -> None:
    service.engine.deploy("other", "deterministic", {})
    models = {each.id: each.uuid for each in send(vendor.ModelList, "GET", "models").models}
    for name in ("other", models["other"], str(models["other"]).upper()):
        made = send(
            vendor.KnowledgeBaseAnswer, "POST", "knowledge_bases", {"name": "kb", "embedding_model_uuid": name}
        ).knowledge_base
        assert made.embedding_model_uuid == models["other"]
        assert service.knowledge_bases.bases[UUID(made.uuid)].model == "other"
    path = f"knowledge_bases/{made.uuid}"
    send(vendor.KnowledgeBaseAnswer, "PUT", path, {"embedding_model_uuid": models["other"]})
    refused = send.refused(400, "PUT", path, {"embedding_model_uuid": models["embed-123"]})
    assert "never changes" in refused.message
    assert "`GET /v2/gen-ai/models`" in send.refused(400, "POST", "knowledge_bases", {"name": "kb"}).message
    unknown = {"name": "kb", "embedding_model_uuid": "22653204-79ed-11ef-bf8f-4e013e2ddde4"}
    assert "expected a deployed model" in send.refused(400, "POST", "knowledge_bases", unknown).message


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 1),
        ("?usecases=", 1),
        ("?usecases=MODEL_USECASE_KNOWLEDGEBASE", 1),
        ("?usecases=MODEL_USECASE_AGENT,MODEL_USECASE_KNOWLEDGEBASE", 1),
        ("?usecases=MODEL_USECASE_AGENT&usecases=MODEL_USECASE_KNOWLEDGEBASE&public_only=true", 1),
        ("?usecases=MODEL_USECASE_AGENT", 0),
        ("?page=2", 0),
    ],
)
def test_models_are_chosen_by_use(send: Checked, query: str, count: int) -> None:
    answer = send(vendor.ModelList, "GET", f"models{query}")
    assert len(answer.models) == count
    if count:
        (model,) = answer.models
        # Made from the id, so that it is the same on every installation, for ever.
        assert (model.id, model.uuid) == ("embed-123", "b7914b08-fe9b-5882-bdcd-6d2d8784d6c1")
        assert (model.kb_min_chunk_size, model.kb_default_chunk_size, model.kb_max_chunk_size) == (10, 512, 2048)


def test_spaces_fields_are_nested_and_flat(send: Checked, base: str) -> None:
    made = send(vendor.DataSourceAnswer, "POST", _sources(base), BUCKET).knowledge_base_data_source
    assert made.spaces_data_source is not None
    assert made.spaces_data_source.model_dump() == BUCKET["spaces_data_source"]
    assert (made.bucket_name, made.item_path, made.region) == ("handbook", "public/", "nyc3")


@pytest.mark.parametrize(
    "flat",
    [
        {"bucket_name": "b", "bucket_region": "nyc3", "item_path": "p"},
        {"bucket_name": "b", "region": "nyc3", "item_path": "p", "spaces_data_source": {"bucket_name": ""}},
        {"bucket_name": "other", "spaces_data_source": {"bucket_name": "b", "region": "nyc3", "item_path": "p"}},
    ],
)
def test_the_older_form_of_a_bucket_is_taken(send: Checked, base: str, flat: dict[str, Any]) -> None:
    made = send(vendor.DataSourceAnswer, "POST", _sources(base), flat).knowledge_base_data_source
    assert made.spaces_data_source is not None
    assert made.spaces_data_source.model_dump() == {"bucket_name": "b", "item_path": "p", "region": "nyc3"}


def test_secrets_go_in_and_never_come_out(send: Checked, base: str, verbs: FakeKnowledgeBases) -> None:
    answer = send.http.post(f"/v2/gen-ai/{_sources(base)}", json={"aws_data_source": AWS})
    made = vendor.DataSourceAnswer.model_validate(answer.json()).knowledge_base_data_source
    assert made.aws_data_source is not None
    assert made.aws_data_source.model_dump(exclude_none=True) == {"bucket_name": "b", "region": "eu"}
    stored = verbs.new_sources[UUID(made.uuid)]
    assert stored.secrets == {"key_id": "AKIA", "secret_key": "hidden-secret"}
    assert stored.settings == {"bucket_name": "b", "region": "eu"}
    listed = send.http.get(f"/v2/gen-ai/{_sources(base)}")
    for text in (answer.text, listed.text, repr(stored)):
        assert "hidden-secret" not in text
        assert "AKIA" not in text


def test_every_kind_of_source_comes_back_as_it_was(send: Checked, base: str, verbs: FakeKnowledgeBases) -> None:
    bodies: list[tuple[DataSourceKind, dict[str, Any], dict[str, Any]]] = [
        (DataSourceKind.WEB_CRAWLER, SITE, {**SITE, "embed_media": False, "exclude_tags": ["nav"]}),
        (DataSourceKind.FILE_UPLOAD, FILE, FILE),
        (DataSourceKind.FILE_UPLOAD, {**FILE, "size_in_bytes": 48211}, FILE),
        (DataSourceKind.DROPBOX, {"folder": "/a", "refresh_token": "t"}, {"folder": "/a"}),
        (DataSourceKind.GOOGLE_DRIVE, {"folder_id": "x", "refresh_token": "t"}, {"folder_id": "x"}),
    ]
    for kind, given, shown in bodies:
        name = f"{kind}_data_source"
        made = send(vendor.DataSourceAnswer, "POST", _sources(base), {name: given}).knowledge_base_data_source
        assert getattr(made, name).model_dump(exclude_unset=True) == shown
        assert {each for each in made.model_fields_set if each.endswith("_data_source")} == {name}
        assert verbs.new_sources[UUID(made.uuid)].kind is kind


def test_an_unknown_crawling_option_means_the_page_alone(send: Checked, base: str) -> None:
    site = {"web_crawler_data_source": {"base_url": "http://example.com", "crawling_option": "UNKNOWN"}}
    made = send(vendor.DataSourceAnswer, "POST", _sources(base), site).knowledge_base_data_source
    assert made.web_crawler_data_source is not None
    assert made.web_crawler_data_source.crawling_option == "SCOPED"


@pytest.mark.parametrize("tags", [None, [], [""]])
def test_without_tags_to_leave_out_crawls_leave_out_those_that_they_always_do(
    send: Checked, base: str, verbs: FakeKnowledgeBases, tags: Any
) -> None:
    site = {"web_crawler_data_source": {"base_url": "http://example.com", "exclude_tags": tags}}
    made = send(vendor.DataSourceAnswer, "POST", _sources(base), site).knowledge_base_data_source
    assert made.web_crawler_data_source is not None
    assert made.web_crawler_data_source.exclude_tags == []
    settings = verbs.new_sources[UUID(made.uuid)].settings
    assert CrawlDefinition.from_settings(settings).exclude_tags == DEFAULT_EXCLUDED


def test_chunking_is_kept_and_changed_field_by_field(send: Checked, base: str, verbs: FakeKnowledgeBases) -> None:
    body = BUCKET | {
        "chunking_algorithm": "CHUNKING_ALGORITHM_FIXED_LENGTH",
        "chunking_options": {"max_chunk_size": 64},
    }
    made = send(vendor.DataSourceAnswer, "POST", _sources(base), body).knowledge_base_data_source
    path = f"{_sources(base)}/{made.uuid}"
    same = send(vendor.DataSourceAnswer, "PUT", path, {"data_source_uuid": made.uuid}).knowledge_base_data_source
    assert same == made
    larger = {"chunking_options": {"max_chunk_size": 128, "child_chunk_size": 0, "semantic_threshold": None}}
    send(vendor.DataSourceAnswer, "PUT", path, larger)
    assert verbs.data_sources[UUID(made.uuid)].chunking == Chunking(ChunkingAlgorithm.FIXED_LENGTH, 128)
    other = {"chunking_algorithm": "CHUNKING_ALGORITHM_HIERARCHICAL", "chunking_options": {"parent_chunk_size": 512}}
    changed = send(vendor.DataSourceAnswer, "PUT", path, other).knowledge_base_data_source
    assert changed.chunking_algorithm == "CHUNKING_ALGORITHM_HIERARCHICAL"
    assert verbs.data_sources[UUID(made.uuid)].chunking == Chunking(
        ChunkingAlgorithm.HIERARCHICAL, parent_chunk_size=512
    )


def test_without_an_algorithm_chunks_follow_sections(send: Checked, base: str) -> None:
    for given in (None, "", "CHUNKING_ALGORITHM_UNKNOWN"):
        body = BUCKET | {"chunking_algorithm": given}
        made = send(vendor.DataSourceAnswer, "POST", _sources(base), body).knowledge_base_data_source
        assert made.chunking_algorithm == "CHUNKING_ALGORITHM_SECTION_BASED"


def test_a_data_source_is_removed(send: Checked, base: str) -> None:
    (source,) = send(vendor.DataSourceList, "GET", _sources(base)).knowledge_base_data_sources
    path = f"{_sources(base)}/{source.uuid}"
    gone = send(vendor.DataSourceDeleted, "DELETE", path)
    assert (gone.data_source_uuid, gone.knowledge_base_uuid) == (source.uuid, base)
    assert send.refused(404, "DELETE", path).id == "not_found"


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_chunks_are_retrieved_with_what_is_known_of_them(
    send: Checked, base: str, verbs: FakeKnowledgeBases, prefix: str
) -> None:
    verbs.hits = [hit(1, title="Jobs", item_name="hidden")]
    body = {"query": "cancel", "num_results": 5, "alpha": 0.5}
    answer = send(vendor.Retrieved, "POST", f"{prefix}/{base}/retrieve", body)
    assert answer.total_results == 1
    assert answer.results[0].text_content == "text 1"
    assert answer.results[0].metadata == {
        "title": "Jobs",
        "item_name": "guide/1.md",
        "data_source_uuid": "7d3f6a1c-2a53-4bb5-9a0e-5f9e0a1c7b64",
        "score": 0.5,
        "chunk": 1,
        "page": 3,
        "headings": ["Jobs"],
    }


def test_filters_reach_the_search_as_they_were_said(send: Checked, base: str, verbs: FakeKnowledgeBases) -> None:
    verbs.hits = [hit(n, year=2300, kind="a") for n in range(20)]

    def asked(filters: dict[str, Any] | None) -> tuple[int, MetadataFilter | None]:
        body = {"query": "q", "num_results": 3, "filters": filters}
        send(vendor.Retrieved, "POST", f"/{base}/retrieve", body)
        return verbs.retrieved[-1]

    equal = {"field": "kind", "operator": "eq", "value": "a"}
    late = {"field": "year", "operator": "gte", "value": 2290}
    named = {"field": "item_name", "operator": "in", "value": ["guide/7.md", "guide/9.md"]}
    assert asked(None) == asked({}) == asked({"must": []}) == (3, None)
    assert asked({"must": [equal, late]}) == (
        3,
        MetadataFilter(must=(Condition("kind", Operator.EQ, "a"), Condition("year", Operator.GTE, 2290))),
    )
    assert asked({"must_not": [late], "should": [named]}) == (
        3,
        MetadataFilter(
            must_not=(Condition("year", Operator.GTE, 2290),),
            should=(Condition("item_name", Operator.IN, ["guide/7.md", "guide/9.md"]),),
        ),
    )
