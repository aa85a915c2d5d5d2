"""The first version's corpora and documents on the wire, over a fake of their verbs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from indexmill.domain.corpus import DocumentPart, NewDocument, NewFile
from indexmill.domain.failure import FailureCode, Stage
from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from indexmill.errors import ItemError, ServiceError
from indexmill.http.problems import Problem
from tests.dialects.list_jobs import vendor_models as vendor
from tests.dialects.list_jobs.conftest import Checked, ListJobsService
from tests.dialects.list_jobs.fake_corpora import FakeCorpora

TYPES = ("INTEGER", "INTEGER_LIST", "REAL", "REAL_LIST", "TEXT", "TEXT_LIST", "BOOLEAN")
BOOK: dict[str, Any] = {
    "documentId": "isbn-9781405053976",
    "title": "A guide",
    "metadataJson": '{"year": 1979, "tags": ["a"], "is_read": true}',
    "section": [
        {
            "id": 3,
            "text": "Far out",
            "metadataJson": '{"page": 1}',
            "title": "One",
            "section": [{"text": "in the uncharted"}],
        },
        {"section": [{"text": "backwaters"}]},
    ],
}


def _index(send: Checked, corpus: int, document: dict[str, Any] | None = None, **options: Any) -> vendor.Indexed:
    return send.v1(vendor.Indexed, "index", {"corpusId": corpus, "document": document or BOOK}, **options)


def test_corpora_are_made_read_and_listed(send: Checked, verbs: FakeCorpora) -> None:
    attributes = [
        {"name": kind.lower(), "indexed": True, "type": 5 * number, "level": 5} for number, kind in enumerate(TYPES, 1)
    ]
    wanted = {"name": "hand book", "description": "All", "filter_attributes": attributes, "customDimensions": []}
    made = send.v1(vendor.CreatedCorpus, "create-corpus", {"corpus": wanted})
    assert verbs.get(made.corpus_id).key == "hand-book"
    assert verbs.get("hand-book").attributes[0] == FilterAttribute(
        "integer", AttributeLevel.DOCUMENT, AttributeType.INTEGER, indexed=True
    )
    (info, missing) = send.v1(
        vendor.ReadCorpora,
        "read-corpus",
        {"corpusId": [made.corpus_id, 999_999], "readBasicInfo": True, "readSize": True, "readFilterAttributes": True},
    ).corpora
    assert info.corpus is not None
    assert (info.corpus.id, info.corpus.name, info.corpus.enabled) == (made.corpus_id, "hand book", True)
    assert [each.type.removeprefix("FILTER_ATTRIBUTE_TYPE__") for each in info.filter_attribute] == list(TYPES)
    assert info.corpus.filter_attributes == info.filter_attribute
    assert info.size is not None
    assert info.size.size == "0"
    assert missing.corpus is None
    assert missing.corpus_status is not None
    assert missing.corpus_status.code == "NOT_FOUND"
    others = [{"corpus": {"name": f"c{n}"}} for n in range(4)]
    numbers = [made.corpus_id, *(send.v1(vendor.CreatedCorpus, "create-corpus", each).corpus_id for each in others)]
    page = send.v1(vendor.V1Corpora, "list-corpora", {"numResults": 2})
    met = page.corpus
    while page.page_key:
        page = send.v1(vendor.V1Corpora, "list-corpora", {"pageKey": page.page_key})
        met += page.corpus
    assert [each.id for each in met] == numbers
    found = send.v1(vendor.V1Corpora, "list-corpora", {"filter": "^c[12]$", "numResults": 10}).corpus
    assert [each.name for each in found] == ["c1", "c2"]


def test_corpora_are_emptied_and_deleted(send: Checked, verbs: FakeCorpora, corpus: int) -> None:
    _index(send, corpus)
    send.v1(vendor.OnlyStatus, "reset-corpus", {"customerId": 12, "corpusId": corpus})
    assert verbs.stored["handbook"] == {}
    send.v1(vendor.OnlyStatus, "delete-corpus", {"customer_id": "12", "corpus_id": str(corpus)})
    assert verbs.corpora == {}


def test_a_document_is_indexed_once(send: Checked, verbs: FakeCorpora, corpus: int) -> None:
    first = _index(send, corpus, headers={"timeout": "10S"})
    assert (first.status.code, first.quota_consumed.num_chars) == ("OK", str(len("Far outin the unchartedbackwaters")))
    assert verbs.waits == [10]
    assert verbs.given["handbook", BOOK["documentId"]] == NewDocument(
        "isbn-9781405053976",
        (
            DocumentPart("Far out", {"section": 3, "page": 1}, "One"),
            DocumentPart("in the uncharted"),
            DocumentPart("backwaters"),
        ),
        {"title": "A guide", "year": 1979, "tags": ["a"], "is_read": True},
    )
    again = _index(send, corpus)
    assert (again.status.code, again.quota_consumed) == ("ALREADY_EXISTS", first.quota_consumed)
    other = _index(send, corpus, {**BOOK, "title": "Another"})
    assert (other.status.code, other.quota_consumed.num_chars) == ("CONFLICT", "0")
    core = {"documentId": "b", "parts": [{"text": "one", "metadataJson": "{}"}, {"text": "two"}]}
    answer = send.v1(vendor.Indexed, "core/index", {"corpusId": corpus, "document": core})
    assert answer.status.code == "OK"
    assert verbs.given["handbook", "b"] == NewDocument("b", (DocumentPart("one"), DocumentPart("two")), is_core=True)


def test_documents_are_listed_searched_and_deleted(send: Checked, verbs: FakeCorpora, corpus: int) -> None:
    for n in range(5):
        document = {"documentId": f"d{n}", "metadataJson": json.dumps({"half": "ab"[n % 2], "n": n})}
        _index(send, corpus, {**document, "section": [{"text": "x" * (n + 1), "metadataJson": '{"page": 1}'}]})
    page = send.v1(vendor.V1Documents, "list-documents", {"corpusId": corpus, "numResults": 2})
    met = page.document
    while page.next_page_key:
        page = send.v1(vendor.V1Documents, "list-documents", {"pageKey": page.next_page_key})
        met += page.document
    assert [each.id for each in met] == ["d0", "d1", "d2", "d3", "d4"]
    assert [(each.name, each.value) for each in met[3].metadata] == [("half", "b"), ("n", "3")]
    half = {"corpusId": corpus, "metadataFilter": "doc.half = 'a'"}
    assert [each.id for each in send.v1(vendor.V1Documents, "list-documents", half).document] == ["d0", "d2", "d4"]

    query = {"query": "x", "start": 1, "numResults": "2", "corpusKey": [half]}
    (found,) = send.v1(vendor.QueryAnswer, "query", {"query": [query]}).response_set
    assert [(each.text, each.document_index) for each in found.response] == [("xxx", 0), ("xxxxx", 1)]
    assert [each.id for each in found.document] == ["d2", "d4"]
    assert found.response[0].corpus_key.corpus_id == corpus
    for _ in range(2):
        wanted = {"customerId": "1", "corpusId": str(corpus), "documentId": "d3"}
        send.v1(vendor.Nothing, "delete-doc", wanted, headers={"timeout": "45S"})
    assert verbs.waits[-2:] == [45, 45]
    rest = send.v1(vendor.V1Documents, "list-documents", {"corpusId": corpus}).document
    assert [each.id for each in rest] == ["d0", "d1", "d2", "d4"]


def test_several_corpora_are_searched_together(send: Checked, corpus: int) -> None:
    other = send.v1(vendor.CreatedCorpus, "create-corpus", {"corpus": {"name": "other"}}).corpus_id
    for n in range(4):
        _index(send, (corpus, other)[n % 2], {"documentId": f"d{n}", "section": [{"text": "x" * (n + 1)}]})
    keys = [{"corpusId": corpus}, {"corpusId": other}]
    query = {"query": "x", "start": 1, "numResults": 2, "corpusKey": keys}
    (found,) = send.v1(vendor.QueryAnswer, "query", {"query": [query]}).response_set
    assert [(each.text, each.corpus_key.corpus_id) for each in found.response] == [("xx", other), ("xxx", corpus)]


def test_a_file_is_indexed_under_its_name(send: Checked, verbs: FakeCorpora, corpus: int) -> None:
    answer = send.http.post(
        f"/v1/upload?c=12&o={corpus}&d=true",
        files={"file": ("a b.txt", b"hello", "text/plain")},
        data={"doc_metadata": '{"year": 2024}'},
    )
    assert answer.status_code == 200, answer.text
    given = vendor.UploadAnswer.model_validate(answer.json()).response
    assert (given.status.code, given.document) == (
        "OK",
        {"documentId": "a b.txt", "section": [{"text": "the text of 5 bytes"}]},
    )
    stored = verbs.given["handbook", "a b.txt"]
    assert isinstance(stored, NewFile)
    assert (stored.metadata, stored.size, stored.media_type) == ({"year": 2024}, 5, "text/plain")
    assert "file" in send.v1_refused(400, 3, f"upload?o={corpus}", files={"other": (None, "x")})
    assert "JSON" in send.v1_refused(
        400, 3, f"upload?o={corpus}", files={"file": ("a", b"x")}, data={"doc_metadata": "{"}
    )
    assert "form" in send.v1_refused(400, 3, f"upload?o={corpus}", {})
    # As clients send it whose library gives every part of a form a file's name; the id is all that the file is called.
    answer = send.http.post(
        f"/v1/upload?c=12&o={corpus}&d=True",
        files={
            "file": ("https://example.com/a%20b/c.txt", b"hello", "text/plain"),
            "doc_metadata": ("doc_metadata", '{"year": 2025}'),
        },
    )
    assert answer.status_code == 200, answer.text
    assert verbs.given["handbook", "https://example.com/a b/c.txt"].metadata == {"year": 2025}
    # null: as clients write what nobody said.
    again: dict[str, Any] = {"files": {"file": ("b", b"x", "text/plain")}, "data": {"doc_metadata": "null"}}
    codes = [send.http.post(f"/v1/upload?o={corpus}", **again).json()["response"]["status"]["code"] for _ in range(2)]
    assert codes == ["OK", "ALREADY_EXISTS"]
    # Unlike other documents': its original says it so.
    assert "id" in send.v1_refused(409, 6, f"upload?o={corpus}", files={"file": ("b", b"other", "text/plain")})
    assert "corpus" in send.v1_refused(404, 5, "upload?o=99999", files={"file": ("a", b"x")}).lower()


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("create-corpus", {}, "corpus.name"),
        ("create-corpus", {"corpus": {"name": "x", "filterAttributes": [{"name": "a"}]}}, "filterAttributes.0"),
        ("create-corpus", {"corpus": {"name": "x", "filterAttributes": [{"type": "TEXT"}]}}, "FILTER_ATTRIBUTE_TYPE__"),
        ("delete-corpus", {}, "corpusId"),
        ("replace-corpus-filter-attrs", {}, "corpusId"),
        ("list-corpora", {"numResults": 0}, "numResults"),
        ("list-corpora", {"filter": "("}, "regular expression"),
        ("list-corpora", {"pageKey": "AAAA"}, "page key"),
        ("index", {"corpusId": 1}, "documentId"),
        ("index", {"corpusId": 1, "document": {"documentId": "a", "metadataJson": "{"}}, "metadataJson"),
        ("index", {"corpusId": 1, "document": {"documentId": "a", "metadataJson": "[]"}}, "JSON object"),
        ("index", {"corpusId": 1, "document": {"documentId": "a", "metadataJson": '{"a": "\\u0000"}'}}, "NUL"),
        ("delete-doc", {"corpusId": 1}, "documentId"),
        ("list-documents", {}, "corpusId"),
        ("query", {}, "at least one query"),
        ("query", {"query": [{"query": "x"}]}, "corpusKey"),
        ("query", {"query": [{"corpusKey": [{"corpusId": 1}]}]}, "text to search"),
    ],
)
def test_what_is_missing_or_wrong_is_code_3(send: Checked, path: str, body: Any, words: str) -> None:
    assert words in send.v1_refused(400, 3, path, body)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("delete-corpus", {"corpusId": 999_999}),
        ("reset-corpus", {"corpusId": 999_999}),
        ("rebuild-corpus-vector-index", {"corpusId": 999_999}),
        ("replace-corpus-filter-attrs", {"corpusId": 999_999}),
        ("index", {"corpusId": 999_999, "document": {"documentId": "a"}}),
        ("delete-doc", {"corpusId": 999_999, "documentId": "a"}),
        ("list-documents", {"corpusId": 999_999}),
        ("query", {"query": [{"query": "x", "corpusKey": [{"corpusId": 999_999}]}]}),
    ],
)
def test_a_corpus_that_is_not_there_is_code_5(send: Checked, corpus: int, path: str, body: Any) -> None:
    # Not a word of those that are.
    assert send.v1_refused(404, 5, path, body) == "Corpus `999999` not found"


@pytest.mark.parametrize(
    ("error", "status_and_code"),
    [
        (ServiceError("postgres://secret"), (503, 14)),
        (TimeoutError(), (504, 4)),
        (ItemError(Stage.EXTRACT, FailureCode.UNSUPPORTED_TYPE, "No text", retryable=False), (415, 3)),
        (ItemError(Stage.SPLIT, FailureCode.TOO_LARGE, "Too large", retryable=False), (413, 3)),
        (ItemError(Stage.EMBED, FailureCode.NO_CONTENT, "Empty", retryable=False), (400, 3)),
        (ZeroDivisionError(), (500, 13)),
    ],
)
def test_errors_have_their_codes(
    send: Checked, verbs: FakeCorpora, corpus: int, error: Exception, status_and_code: tuple[int, int]
) -> None:
    verbs.raises = error
    message = send.v1_refused(*status_and_code, "index", {"corpusId": corpus, "document": BOOK})
    assert "secret" not in message


@pytest.mark.parametrize(("status", "code"), [(400, 3), (401, 16), (403, 7), (404, 5), (429, 8), (500, 13), (504, 4)])
def test_statuses_and_codes_belong_together(status: int, code: int) -> None:
    from indexmill.dialects.list_jobs.errors import v1_shape

    answer = v1_shape(Problem(status, "x", "words"))
    assert (answer.status_code, json.loads(bytes(answer.body))["code"]) == (status, code)


def test_unknown_paths_and_methods_have_this_doors_shape(send: Checked, service: ListJobsService) -> None:
    for path in ("list-users", "create-api-key", "core/other-thing"):
        send.v1_refused(404, 5, path, {})
    answer = send.http.get("/v1/list-jobs")
    assert (answer.status_code, answer.json()["code"]) == (405, 12)
    # Other doors keep theirs.
    assert set(send.http.get("/v1/artifacts/nothing/there").json()) == {"detail"}
    assert set(send.http.get("/v2/gen-ai/nothing").json()) == {"id", "message", "request_id"}
    assert set(send.http.get("/v1/nothing").json()) == {"error"}
