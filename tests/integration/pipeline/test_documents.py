"""Documents through windows: every row of the case table, real files, and the sources that items name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexmill.domain.failure import FailureCode, Stage
from indexmill.domain.job import Item, Job
from indexmill.domain.job_state import JobState, Reason
from indexmill.engine import Engine
from indexmill.errors import InvalidRequest
from indexmill.models import deterministic
from indexmill.settings import Settings
from tests import sample_files
from tests.documents import (
    COLLECTION,
    LONG,
    Library,
    chunks_of,
    done,
    failed,
    finished,
    item_of,
    stored,
    text_item,
    uri_item,
)
from tests.draining import (
    Deploy,
    assert_conserved,
    claimed,
    drain,
    embedded_texts,
    failures,
    job_of,
    run_last_submitted_first,
)
from tests.s3_server import S3Server
from tests.web_server import WebServer, answer

# The case table


@pytest.mark.parametrize("way", ["text", "upload", "uri", "data"])
def test_the_same_bytes_and_metadata_again_are_unchanged_and_nothing_is_embedded(
    library: Library, tmp_path: Path, way: str
) -> None:
    item = item_of(library, tmp_path, way, LONG, {"by": "Ada"})
    assert done(library, item).indexed == 1
    before, embedded = stored(library)["a"], len(embedded_texts(tmp_path))
    assert before["chunks"] > 5
    assert done(library, item).unchanged == 1
    after = stored(library)["a"]
    assert (after["key"], after["text"], after["payload"]) == (before["key"], before["text"], {"by": "Ada"})
    assert len(embedded_texts(tmp_path)) == embedded


@pytest.mark.parametrize("way", ["text", "upload", "uri", "data"])
def test_the_same_bytes_with_new_metadata_are_not_embedded_again(library: Library, tmp_path: Path, way: str) -> None:
    done(library, item_of(library, tmp_path, way, LONG, {"by": "Ada"}))
    chunks, embedded = chunks_of(library.engine, COLLECTION, "a"), len(embedded_texts(tmp_path))
    assert done(library, item_of(library, tmp_path, way, LONG, {"by": "Eve", "year": 1.0})).payload_updated == 1
    assert stored(library)["a"]["payload"] == {"by": "Eve", "year": 1.0}
    assert stored(library)["a"]["text"] == LONG
    assert chunks_of(library.engine, COLLECTION, "a") == chunks
    assert len(embedded_texts(tmp_path)) == embedded


@pytest.mark.parametrize("way", ["text", "upload", "uri", "data"])
def test_new_bytes_replace_the_document_and_leave_no_chunk_of_the_old(
    library: Library, tmp_path: Path, way: str
) -> None:
    done(library, item_of(library, tmp_path, way, LONG, {"by": "Ada"}))
    assert len(chunks_of(library.engine, COLLECTION, "a")) > 5
    short = "Only this is left."
    assert done(library, item_of(library, tmp_path, way, short, {"by": "Ada"})).indexed == 1
    assert stored(library)["a"]["text"] == short
    assert chunks_of(library.engine, COLLECTION, "a") == [(0, len(short))]
    assert done(library, item_of(library, tmp_path, way, LONG, {"by": "Ada"})).indexed == 1
    assert len(chunks_of(library.engine, COLLECTION, "a")) > 5


def test_the_same_id_in_another_collection_is_another_document(library: Library) -> None:
    library.open("other")
    done(library, text_item("a", "One."))
    done(library, text_item("a", "Two."), collection="other")
    assert (stored(library)["a"]["text"], stored(library, "other")["a"]["text"]) == ("One.", "Two.")
    finished(library, library.delete("a", collection="other"))
    assert set(stored(library)) == {"a"}
    assert stored(library, "other") == {}


def test_a_delete_wins_over_the_ingest_that_was_queued_before_it(library: Library, tmp_path: Path) -> None:
    ingest = library.ingest(text_item("a", "One."))
    deletion = library.delete("a")
    run_last_submitted_first(library.engine)
    ended = job_of(library.engine, ingest)
    assert (ended.state, ended.reason) == (JobState.CANCELLED, Reason.SUPERSEDED)
    assert job_of(library.engine, deletion).state is JobState.SUCCEEDED
    assert stored(library) == {}
    assert embedded_texts(tmp_path) == []


def test_a_delete_wins_over_the_ingest_that_runs(library: Library, tmp_path: Path) -> None:
    path = sample_files.plain_text(tmp_path / "a.txt", "One.")
    ingest = library.ingest(library.upload("a", path))
    claim = claimed(library.engine)
    deleted: list[Job] = []

    def delete_meanwhile() -> bool:
        if not deleted:
            deleted.append(library.delete("a"))
            drain(library.engine, library.runner())
        return True

    library.runner().run(claim, delete_meanwhile)
    ended = job_of(library.engine, ingest)
    assert (ended.state, ended.reason) == (JobState.CANCELLED, Reason.SUPERSEDED)
    assert job_of(library.engine, deleted[0]).state is JobState.SUCCEEDED
    assert stored(library) == {}
    assert_conserved(library.engine)


def test_an_ingest_after_a_delete_wins_whichever_runs_first(library: Library) -> None:
    done(library, text_item("a", "One."))
    library.delete("a")
    library.ingest(text_item("a", "Two."))
    run_last_submitted_first(library.engine)
    assert stored(library)["a"]["text"] == "Two."
    # Bytes of a document that was deleted are nothing to be compared with.
    library.delete("a")
    library.ingest(text_item("a", "Two."))
    drain(library.engine, library.runner())
    assert stored(library)["a"]["text"] == "Two."


def test_the_delete_of_what_is_not_there_succeeds(library: Library) -> None:
    job = finished(library, library.delete("nobody"))
    assert (job.state, job.counters.absent) == (JobState.SUCCEEDED, 1)


def test_a_replacement_that_fails_leaves_the_old_document_whole(library: Library, tmp_path: Path) -> None:
    done(library, text_item("a", LONG))
    before = stored(library)["a"], chunks_of(library.engine, COLLECTION, "a")
    broken = sample_files.truncated(sample_files.sample(tmp_path, "pdf"))
    failed(library, library.upload("a", broken))
    assert (stored(library)["a"], chunks_of(library.engine, COLLECTION, "a")) == before


# Files

SAMPLES = ["pdf", "docx", "html", "md", "txt", "csv", "json"]


@pytest.mark.parametrize("extension", SAMPLES)
def test_a_file_becomes_its_text_with_what_is_known_of_it(library: Library, tmp_path: Path, extension: str) -> None:
    path = sample_files.sample(tmp_path, extension)
    assert done(library, library.upload("a", path, {"by": "Ada"})).indexed == 1
    row = stored(library)["a"]
    assert "crane" in row["text"].lower()
    assert row["payload"] == {"by": "Ada"}
    assert {"file_name", "hash", "media_type", "size"} == set(row["item_info"])
    assert (row["item_info"]["file_name"], row["item_info"]["size"]) == (path.name, path.stat().st_size)
    spans = chunks_of(library.engine, COLLECTION, "a")
    assert all(row["text"][start:end].strip() for start, end in spans)


def test_pages_and_headings_are_kept(library: Library, tmp_path: Path) -> None:
    pdf = sample_files.pdf(tmp_path / "a.pdf", ["The first page.", "The second page."])
    done(library, library.upload("pdf", pdf), text_item("md", "# One\n\ntext\n\n## Two\n\nmore", file_name="x.md"))
    found = stored(library)
    assert [number for _, number in found["pdf"]["structure"]["pages"]] == [1, 2]
    text = found["md"]["text"]
    headings = found["md"]["structure"]["headings"]
    lines = [(text[start:].partition("\n")[0], level, title) for start, level, title in headings]
    assert lines == [("# One", 1, "One"), ("## Two", 2, "Two")]


BAD: dict[str, tuple[Callable[[Path], Path], FailureCode]] = {
    "empty": (lambda folder: sample_files.plain_text(folder / "a.txt", ""), FailureCode.NO_CONTENT),
    "blank": (lambda folder: sample_files.plain_text(folder / "a.txt", " \n\t "), FailureCode.NO_CONTENT),
    "no words in it": (lambda folder: sample_files.pdf(folder / "a.pdf", [""]), FailureCode.NO_CONTENT),
    "broken": (
        lambda folder: sample_files.truncated(sample_files.sample(folder, "docx")), FailureCode.MALFORMED_FILE,
    ),
    "encrypted pdf": (
        lambda folder: sample_files.encrypted_pdf(folder / "a.pdf", ["secret"]), FailureCode.ENCRYPTED_FILE,
    ),
    "encrypted docx": (lambda folder: sample_files.encrypted_docx(folder / "a.docx"), FailureCode.ENCRYPTED_FILE),
    "misnamed": (lambda folder: sample_files.plain_text(folder / "a.pdf", "no pdf"), FailureCode.MISMATCHED_TYPE),
    "unknown": (lambda folder: _bytes(folder / "a.bin", bytes(range(256)) * 20), FailureCode.UNSUPPORTED_TYPE),
    "too large": (lambda folder: _bytes(folder / "a.txt", b"x" * 2_000_000), FailureCode.TOO_LARGE),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_cannot_be_read_fails_alone_with_its_code(library: Library, tmp_path: Path, kind: str) -> None:
    make, code = BAD[kind]
    library.settings = library.settings.model_copy(
        update={"worker": library.settings.worker.model_copy(update={"max_text_bytes": 1_000_000})}
    )
    good = text_item("good", "One.")
    job = finished(library, library.ingest(good, library.upload("bad", make(tmp_path)), text_item("too", "Two.")))
    assert (job.state, job.reason) == (JobState.SUCCEEDED, Reason.WITH_FAILURES)
    (failure,) = failures(library.engine, job).values()
    assert (failure.object_id, failure.code, failure.retryable) == ("bad", code, False)
    assert str(tmp_path) not in failure.sentence
    # Neither the reference into the spool nor anything else that opens it.
    assert failure.item_info is not None
    assert "value" not in failure.item_info
    assert set(stored(library)) == {"good", "too"}


def test_a_text_that_is_too_large_fails_without_being_repeated_in_the_report(library: Library) -> None:
    failure = failed(library, text_item("a", " " * 250_000, {"by": "Ada"}))
    assert (failure.stage, failure.code) == (Stage.EXTRACT, FailureCode.NO_CONTENT)
    assert (failure.payload, failure.item_info) == ({"by": "Ada"}, {"source": "text"})


def test_a_nul_in_a_text_is_a_space_and_in_metadata_a_failure(library: Library, tmp_path: Path) -> None:
    path = _bytes(tmp_path / "a.txt", b"crane\0and fog, " * 5)
    assert done(library, text_item("a", "crane\0fog", file_name="a\0.md"), library.upload("b", path)).indexed == 2
    assert stored(library)["a"]["text"] == "crane fog"
    assert "crane and fog" in stored(library)["b"]["text"]
    assert failed(library, text_item("c", "crane", {"by": "\0"})).code is FailureCode.INVALID_TEXT


def test_a_lone_surrogate_is_refused_when_it_is_submitted(library: Library) -> None:
    with pytest.raises(InvalidRequest, match="expected values that JSON can hold"):
        library.ingest(text_item("a", "crane \ud800"))


def test_an_upload_that_is_gone_fails_and_says_what_to_do(library: Library, tmp_path: Path) -> None:
    item = library.upload("a", sample_files.sample(tmp_path, "txt"))
    library.spool.delete((item.item_info or {})["value"])
    failure = failed(library, item)
    assert (failure.code, failure.retryable) == (FailureCode.SOURCE_UNAVAILABLE, False)
    assert "upload them again" in failure.sentence


def test_a_chunk_without_words_is_left_out_and_a_document_of_them_fails(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a model makes of a line of dashes: nothing."""
    vector = deterministic._vector
    monkeypatch.setattr(deterministic, "_vector", lambda text, size: vector("" if "-" in text else text, size))
    dashes = " ".join(["-"] * 12)
    sentences = [f"{word} over the bog in the early light of the morning." for word in ("Cranes", "Fog")]
    done(library, text_item("a", f"{sentences[0]}\n\n{dashes}\n\n{dashes}\n\n{sentences[1]}"))
    text = stored(library)["a"]["text"]
    kept = [text[start:end] for start, end in chunks_of(library.engine, COLLECTION, "a")]
    assert (kept[0][:6], kept[-1][:3]) == ("Cranes", "Fog")
    assert not any("-" in chunk for chunk in kept)
    assert failed(library, text_item("b", f"{dashes}\n\n{dashes}")).code is FailureCode.INVALID_VECTOR


# Sources of the other front door


def test_item_info_names_a_uri_a_local_file_or_the_text_itself(library: Library) -> None:
    names = ["plain.txt", "100% #1; 2:3.txt", "d\u00fcnn.txt"]
    for name in names:
        (library.inbox / name).write_text(f"In {name}")
    with WebServer({"/x.txt": answer(body=b"From the web.", content_type="text/plain")}) as web:
        items = [uri_item("uri", web.url + "/x.txt", {"k": 1}, note="kept"), Item("text", {"text": "Itself."})]
        for number, name in enumerate(names):
            items.append(Item(f"file{number}", None, {"source": "file", "path": name}))
            items.append(Item(f"path{number}", None, {"source": "file", "path": str(library.inbox / name)}))
        job = finished(library, library.upsert(*items))
    assert failures(library.engine, job) == {}
    found = stored(library)
    assert (found["uri"]["text"], found["uri"]["payload"]) == ("From the web.", {"k": 1})
    assert found["uri"]["item_info"] == {"source": "uri", "uri": web.url + "/x.txt", "note": "kept"}
    assert found["text"]["text"] == "Itself."
    for number, name in enumerate(names):
        assert found[f"file{number}"]["text"] == found[f"path{number}"]["text"] == f"In {name}"


@pytest.mark.parametrize(
    ("item_info", "code", "words"),
    [
        ({"source": "uri"}, FailureCode.SOURCE_UNAVAILABLE, "`item_info.uri`: expected a string"),
        ({"source": "uri", "uri": 7}, FailureCode.SOURCE_UNAVAILABLE, "got 7"),
        ({"source": "s3", "bucket": "b"}, FailureCode.SOURCE_UNAVAILABLE, "`item_info.file`"),
        ({"source": "ftp", "uri": "x"}, FailureCode.SOURCE_UNAVAILABLE, "expected `uri`, `s3` or `file`, got 'ftp'"),
        ({"source": ["uri"]}, FailureCode.SOURCE_UNAVAILABLE, "expected `uri`, `s3` or `file`"),
        ({"source": None}, FailureCode.SOURCE_UNAVAILABLE, "expected `uri`, `s3` or `file`"),
        ({"source": "file", "path": "/etc/passwd"}, FailureCode.SOURCE_FORBIDDEN, "sources.allowed_folders"),
        ({"source": "file", "path": "../../x"}, FailureCode.SOURCE_FORBIDDEN, "`..`"),
        ({"source": "file", "path": "file:///etc/passwd"}, FailureCode.SOURCE_UNAVAILABLE, "does not exist"),
        ({"source": "file", "path": "nothing.txt"}, FailureCode.SOURCE_UNAVAILABLE, "does not exist"),
        ({"source": "uri", "uri": "file:///etc/passwd"}, FailureCode.SOURCE_FORBIDDEN, "sources.allowed_folders"),
        ({"source": "uri", "uri": "gopher://x/"}, FailureCode.SOURCE_UNAVAILABLE, "got the scheme `gopher`"),
        ({"source": "uri", "uri": ""}, FailureCode.SOURCE_UNAVAILABLE, "expected a string"),
    ],
)
def test_a_source_that_names_nothing_readable_fails_its_item_alone(
    library: Library, item_info: dict[str, Any], code: FailureCode, words: str
) -> None:
    bad = Item("bad", {"text": "the payload is metadata"}, item_info)
    job = finished(library, library.upsert(Item("good", {"text": "One."}), bad))
    (failure,) = failures(library.engine, job).values()
    assert (failure.object_id, failure.stage, failure.code) == ("bad", Stage.LOAD, code)
    assert words in failure.sentence
    assert failure.item_info == item_info
    assert set(stored(library)) == {"good"}


def test_nobody_reads_an_upload_by_its_hash_through_the_other_front_door(library: Library, tmp_path: Path) -> None:
    item = library.upload("a", sample_files.plain_text(tmp_path / "a.txt", "somebody's secret"))
    for guess in (item, text_item("a", "somebody's secret")):
        done(library, guess)
        # Even as a document of the same id, which says that it is unchanged to whoever guesses right.
        job = finished(library, library.upsert(guess, Item("b", None, guess.item_info)))
        found = failures(library.engine, job)
        assert {failure.code for failure in found.values()} == {FailureCode.SOURCE_UNAVAILABLE}
        assert len(found) == 2
    assert set(stored(library)) == {"a"}


def test_an_item_info_without_a_source_redirects_nothing(library: Library) -> None:
    item = Item("a", {"text": "Itself."}, {"about": {"source": "uri"}, "note": '"source":'})
    assert finished(library, library.upsert(item)).counters.indexed == 1
    assert stored(library)["a"]["item_info"] == item.item_info


def test_item_info_names_an_object_of_a_bucket(engine: Engine, deploy: Deploy, settings: Settings) -> None:
    with S3Server() as server:
        client = server.client()
        client.create_bucket(Bucket="papers")
        client.put_object(Bucket="papers", Key="a/b #1.txt", Body=b"From the bucket.")
        library = Library(engine, settings, deploy(), s3=server.settings())
        items = [
            Item("there", {"k": 1}, {"source": "s3", "bucket": "papers", "file": "a/b #1.txt"}),
            Item("missing", None, {"source": "s3", "bucket": "papers", "file": "c.txt"}),
        ]
        job = finished(library, library.upsert(*items))
        (failure,) = failures(engine, job).values()
        assert (failure.object_id, failure.code) == ("missing", FailureCode.SOURCE_UNAVAILABLE)
        assert stored(library)["there"]["text"] == "From the bucket."
        library.close()


def _bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
