"""Real files of every type through the real extraction process, and what harms the process but not the worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from indexmill.domain.failure import FailureCode
from indexmill.errors import ItemError, TransientError
from indexmill.readers import reader
from indexmill.readers.extracted_text import ExtractedText
from indexmill.readers.extraction_process import ExtractionProcess, Limits, ProcessDied
from indexmill.readers.file_type import FileType, detect
from indexmill.readers.framing import LENGTHS
from indexmill.readers.reader import Extractor
from indexmill.settings import ReaderSettings
from indexmill.settings_section import MIB
from tests import sample_files
from tests.sample_files import SENTENCE

MAX_TEXT = 1_000_000
EXTRACTED = [ending for ending in sample_files.WRITERS if ending not in {"md", "csv", "json", "txt"}]


@pytest.fixture
def extractor() -> Iterator[Extractor]:
    made = Extractor(ReaderSettings(timeout_seconds=20), MAX_TEXT)
    yield made
    made.close()


def _read(extractor: Extractor, path: Path, check: Callable[[], None] = lambda: None) -> ExtractedText:
    return extractor.extract(path, detect(path, path.name, None), check=check)


def _refused(extractor: Extractor, path: Path) -> ItemError:
    with pytest.raises(ItemError) as refusal:
        _read(extractor, path)
    assert str(path.parent) not in refusal.value.sentence
    return refusal.value


def _children() -> list[psutil.Process]:
    """The extraction processes of this one; it may have others, such as a PostgreSQL of other tests."""
    return [each for each in psutil.Process().children() if "extraction_child" in " ".join(_command(each))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def _child() -> psutil.Process:
    (found,) = _children()
    return found


def _is_gone(process: psutil.Process, seconds: float = 60) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("ending", sample_files.WRITERS)
def test_the_text_of_every_type(tmp_path: Path, extractor: Extractor, ending: str) -> None:
    path = sample_files.sample(tmp_path, ending)
    found = _read(extractor, path)
    assert SENTENCE in found.text
    assert found.media_type == detect(path, path.name, None).media_type
    lines = [found.text[each.start :].split("\n")[0].lstrip("# ") for each in found.headings]
    assert lines == [each.title for each in found.headings]


@pytest.mark.parametrize("ending", ["docx", "html", "epub", "odt", "md"])
def test_headings(tmp_path: Path, extractor: Extractor, ending: str) -> None:
    found = _read(extractor, sample_files.sample(tmp_path, ending))
    assert [each.title for each in found.headings][-2:] == ["Birds", "Weather"]
    assert found.pages == ()


def test_pages_of_a_pdf_start_where_their_text_starts(tmp_path: Path, extractor: Extractor) -> None:
    texts = [f"This is page {number}: Grüße." for number in range(1, 31)]
    found = _read(extractor, sample_files.pdf(tmp_path / "a.pdf", texts))
    assert [each.number for each in found.pages] == list(range(1, 31))
    assert all(found.text.startswith(text, page.start) for text, page in zip(texts, found.pages, strict=True))
    assert "[[" not in found.text


def test_empty_pages_count(tmp_path: Path, extractor: Extractor) -> None:
    found = _read(extractor, sample_files.pdf(tmp_path / "a.pdf", ["one", "", "three"]))
    assert [each.number for each in found.pages] == [1, 2, 3]
    assert found.text[found.pages[2].start :] == "three"


def test_slides_and_sheets_are_pages(tmp_path: Path, extractor: Extractor) -> None:
    slides = _read(extractor, sample_files.pptx_file(tmp_path / "a.pptx", {"A": "one", "B": "two", "C": "three"}))
    assert [slides.text[each.start] for each in slides.pages] == ["A", "B", "C"]
    sheets = _read(extractor, sample_files.xlsx(tmp_path / "a.xlsx", {"First": [["a", 1]], "Second": [["b", 2.5]]}))
    assert [(each.number, sheets.text[each.start :].split("\n")[0]) for each in sheets.pages] == [
        (1, "First"),
        (2, "Second"),
    ]
    assert "2.5" in sheets.text


@pytest.mark.parametrize(
    ("encoding", "declares"), [("utf-8", ""), ("utf-16", ""), ("cp1252", "iso-8859-1"), ("koi8_r", "koi8-r")]
)
def test_encodings_of_html(tmp_path: Path, extractor: Extractor, encoding: str, declares: str) -> None:
    words = "Привет журавли" if encoding == "koi8_r" else "Grüße été"
    meta = f'<meta charset="{declares}">' if declares else ""
    path = sample_files.plain_text(tmp_path / "a.html", f"<html><head>{meta}</head><p>{words}</p></html>", encoding)
    assert _read(extractor, path).text == words


def test_deeply_nested_html_keeps_its_text(tmp_path: Path, extractor: Extractor) -> None:
    assert _read(extractor, sample_files.deep_html(tmp_path / "a.html", 100)).text == SENTENCE
    assert _read(extractor, sample_files.deep_html(tmp_path / "b.html", 100_000)).text == SENTENCE


def test_a_pdf_with_a_script_gives_its_text(tmp_path: Path, extractor: Extractor) -> None:
    assert _read(extractor, sample_files.pdf_with_script(tmp_path / "a.pdf", ["Harmless."])).text == "Harmless."


def test_a_pdf_that_opens_without_a_password_is_read(tmp_path: Path, extractor: Extractor) -> None:
    assert _read(extractor, sample_files.encrypted_pdf(tmp_path / "a.pdf", ["Open."], opens_with="")).text == "Open."


def test_broken_files_fail_with_their_code_and_the_next_is_read(tmp_path: Path, extractor: Extractor) -> None:
    broken = {
        sample_files.truncated(sample_files.pdf(tmp_path / "a.pdf", ["one"] * 5)): FailureCode.MALFORMED_FILE,
        sample_files.encrypted_pdf(tmp_path / "b.pdf", ["one"]): FailureCode.ENCRYPTED_FILE,
        sample_files.pdf(tmp_path / "c.pdf", [""]): FailureCode.NO_CONTENT,
        sample_files.billion_laughs_docx(tmp_path / "d.docx"): FailureCode.EXTRACTION_LIMIT,
        sample_files.billion_laughs_odt(tmp_path / "e.odt"): FailureCode.EXTRACTION_LIMIT,
        sample_files.zip_bomb_docx(tmp_path / "f.docx", 600_000_000): FailureCode.EXTRACTION_LIMIT,
        sample_files.zip_bomb_docx(tmp_path / "g.docx", 150_000_000): FailureCode.EXTRACTION_LIMIT,
        sample_files.zip_bomb_docx(tmp_path / "h.docx", MAX_TEXT + 1): FailureCode.TOO_LARGE,
        sample_files.docx_file(tmp_path / "i.docx", {}): FailureCode.NO_CONTENT,
    }
    for path, code in broken.items():
        error = _refused(extractor, path)
        assert (path.name, error.code) == (path.name, code)
        assert not error.retryable
    assert SENTENCE in _read(extractor, sample_files.sample(tmp_path, "docx")).text


def test_the_process_is_warm_and_one(tmp_path: Path, extractor: Extractor) -> None:
    assert _children() == []
    _read(extractor, sample_files.sample(tmp_path, "txt"))
    assert _children() == []
    pids = set()
    for ending in EXTRACTED:
        _read(extractor, sample_files.sample(tmp_path, ending))
        pids.add(_child().pid)
    assert len(pids) == 1


def test_it_gets_nothing_of_the_service_s_environment(
    tmp_path: Path, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDEXMILL_DATABASE__URL", "postgresql://user:secret@nowhere/")
    _read(extractor, sample_files.sample(tmp_path, "rtf"))
    assert not [name for name in _child().environ() if name.startswith("INDEXMILL")]


def test_a_process_that_is_killed_half_way_is_replaced(tmp_path: Path, extractor: Extractor) -> None:
    kills = iter([True, False])

    def kill_once() -> None:
        if next(kills, False):
            os.kill(first, signal.SIGKILL)

    path = sample_files.sample(tmp_path, "pdf")
    _read(extractor, path)
    first = _child().pid
    # So that it cannot have answered before it is killed.
    os.kill(first, signal.SIGSTOP)
    assert SENTENCE in _read(extractor, path, kill_once).text
    assert _child().pid != first


def test_a_document_that_kills_its_process_twice_fails(tmp_path: Path, extractor: Extractor) -> None:
    # It takes longer than a kill.
    path = sample_files.zip_bomb_docx(tmp_path / "a.docx", 90_000_000)

    def kill() -> None:
        process = extractor._process
        if process is not None and process.documents:
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(ItemError) as refusal:
        _read(extractor, path, kill)
    assert refusal.value.code is FailureCode.EXTRACTION_CRASHED
    assert not refusal.value.retryable
    assert _children() == []
    assert SENTENCE in _read(extractor, sample_files.sample(tmp_path, "pdf")).text


def test_a_process_that_does_not_start_is_no_document_s_fault(tmp_path: Path, extractor: Extractor) -> None:
    def kill() -> None:
        process = extractor._process
        if process is not None and not process.documents:
            os.kill(process.pid, signal.SIGKILL)

    path = sample_files.sample(tmp_path, "pdf")
    with pytest.raises(TransientError, match="does not start"):
        _read(extractor, path, kill)
    assert _children() == []
    assert SENTENCE in _read(extractor, path).text


def test_a_process_that_hangs_is_killed_after_its_time(
    tmp_path: Path, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sample_files.sample(tmp_path, "docx")
    _read(extractor, path)
    hanging = _child()
    hanging.suspend()
    began = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(extractor, "_settings", ReaderSettings(timeout_seconds=1))
        error = _refused(extractor, path)
    assert error.code is FailureCode.EXTRACTION_TIMEOUT
    assert error.retryable
    # Not after the 20 seconds of the others.
    assert 0.9 < time.monotonic() - began < 15
    assert _is_gone(hanging)
    assert SENTENCE in _read(extractor, path).text


def test_a_wait_that_is_called_off_ends_the_process(tmp_path: Path, extractor: Extractor) -> None:
    path = sample_files.sample(tmp_path, "docx")
    _read(extractor, path)
    child = _child()
    child.suspend()
    calls = 0

    def cancel() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        _read(extractor, path, cancel)
    assert _is_gone(child)
    assert SENTENCE in _read(extractor, path).text


def test_a_document_that_needs_too_much_memory_fails(tmp_path: Path) -> None:
    extractor = Extractor(ReaderSettings(memory_bytes=256 * MIB), 100_000_000)
    path = sample_files.zip_bomb_docx(tmp_path / "a.docx", 95_000_000)
    error = _refused(extractor, path)
    assert error.code is FailureCode.EXTRACTION_LIMIT
    assert "readers.memory_bytes" in error.sentence
    assert SENTENCE in _read(extractor, sample_files.sample(tmp_path, "docx")).text
    extractor.close()


def test_a_process_is_replaced_after_many_documents(
    tmp_path: Path, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_MAX_DOCUMENTS", 2)
    path = sample_files.sample(tmp_path, "rtf")
    pids = []
    for _ in range(4):
        _read(extractor, path)
        pids.append(_child().pid)
    assert [pids[0] == pids[1], pids[1] == pids[2], pids[2] == pids[3]] == [True, False, True]


def test_a_missing_file_is_no_document_s_fault(tmp_path: Path, extractor: Extractor) -> None:
    with pytest.raises(FileNotFoundError):
        extractor.extract(tmp_path / "gone.pdf", FileType.PDF, check=lambda: None)


def test_without_the_extra_the_sentence_names_it(
    tmp_path: Path, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    error = _refused(extractor, sample_files.sample(tmp_path, "pdf"))
    assert "indexmill[readers]" in error.sentence
    assert error.retryable
    assert SENTENCE in _read(extractor, sample_files.sample(tmp_path, "txt")).text


@pytest.mark.parametrize("is_stopped", [False, True])
def test_the_process_dies_with_its_parent(tmp_path: Path, is_stopped: bool) -> None:
    path = sample_files.sample(tmp_path, "rtf")
    code = (
        "import sys, time; from pathlib import Path; from indexmill.readers.reader import Extractor; "
        "from indexmill.readers.file_type import FileType; from indexmill.settings import ReaderSettings; "
        "made = Extractor(ReaderSettings(), 1000); "
        "made.extract(Path(sys.argv[1]), FileType.RTF, check=lambda: None); print(made._process.pid, flush=True); "
        "time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    if is_stopped:
        os.kill(child.pid, signal.SIGSTOP)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert _is_gone(child)


@pytest.mark.parametrize("header", [b"[]", b"\xff", b"[" * 100_000], ids=["no object", "no text", "too deep"])
def test_a_process_that_answers_what_is_no_answer_counts_as_dead(header: bytes) -> None:
    """Whatever a document has made of it harms nobody else."""
    process = ExtractionProcess(Limits(512 * MIB, MIB, MIB))
    try:
        process._received += LENGTHS.pack(len(header), 0) + header
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(ProcessDied):
            process.wait_until_ready(time.monotonic() + 20, lambda: None)
    finally:
        process.close()
