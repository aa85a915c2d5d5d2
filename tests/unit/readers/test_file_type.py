"""A file's type is what its content is; names tell text formats apart and must not contradict."""

from __future__ import annotations

import contextlib
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.domain.failure import FailureCode
from indexmill.errors import ItemError
from indexmill.readers.file_type import HEAD_BYTES, FileType, detect, detect_head
from tests import sample_files

BY_ENDING = {
    "pdf": FileType.PDF,
    "docx": FileType.DOCX,
    "xlsx": FileType.XLSX,
    "pptx": FileType.PPTX,
    "html": FileType.HTML,
    "md": FileType.MARKDOWN,
    "eml": FileType.EML,
    "epub": FileType.EPUB,
    "csv": FileType.CSV,
    "json": FileType.JSON,
    "txt": FileType.TEXT,
    "rtf": FileType.RTF,
    "odt": FileType.ODT,
}
#: What their content alone does not tell from plain text.
ONLY_BY_NAME = {"md", "csv", "json"}


def _refused(path: Path, file_name: str | None = None, media_type: str | None = None) -> FailureCode:
    with pytest.raises(ItemError) as refusal:
        detect(path, file_name or path.name, media_type)
    assert str(path.parent) not in refusal.value.sentence
    return refusal.value.code


@pytest.mark.parametrize("text", [b"PK", b"PKI is about keys and who vouches for them.", b"PK-Werte der Anlage\n"])
@pytest.mark.parametrize("name", [None, "notes.txt", "notes.md"])
def test_a_text_may_begin_as_archives_do(tmp_path: Path, text: bytes, name: str | None) -> None:
    path = tmp_path / "text"
    path.write_bytes(text)
    kind = FileType.MARKDOWN if name == "notes.md" else FileType.TEXT
    assert detect(path, name, None) is kind
    assert detect_head(text, name, None) is kind


def test_every_type_has_a_sample() -> None:
    assert set(BY_ENDING.values()) == set(FileType)
    assert set(BY_ENDING) == set(sample_files.WRITERS)


@pytest.mark.parametrize("ending", BY_ENDING)
def test_a_sample_of_each_type_is_known_with_its_name_and_without(tmp_path: Path, ending: str) -> None:
    path = sample_files.sample(tmp_path, ending)
    found = BY_ENDING[ending]
    assert detect(path, path.name, None) is found
    assert detect(path, None, found.media_type) is found
    assert detect(path, None, None) is (FileType.TEXT if ending in ONLY_BY_NAME else found)


@pytest.mark.parametrize("ending", BY_ENDING)
def test_the_head_alone_gives_the_same_type_or_none_yet(tmp_path: Path, ending: str) -> None:
    path = sample_files.sample(tmp_path, ending)
    assert detect_head(path.read_bytes()[:HEAD_BYTES], path.name, None) in {BY_ENDING[ending], None}


@pytest.mark.parametrize("ending", ["pdf", "docx", "xlsx", "pptx", "epub", "odt", "rtf"])
def test_text_under_the_name_of_a_document_is_refused_already_by_its_head(tmp_path: Path, ending: str) -> None:
    path = sample_files.plain_text(tmp_path / f"report.{ending}", "Only words.")
    assert _refused(path) is FailureCode.MISMATCHED_TYPE
    with pytest.raises(ItemError, match="plain text"):
        detect_head(path.read_bytes(), path.name, None)


def test_a_document_under_another_name_is_refused(tmp_path: Path) -> None:
    path = sample_files.sample(tmp_path, "docx")
    assert _refused(path, "report.pdf") is FailureCode.MISMATCHED_TYPE
    assert _refused(path, "report.txt") is FailureCode.MISMATCHED_TYPE
    with pytest.raises(ItemError, match="PDF document"):
        detect(path, None, "application/pdf; charset=binary")


def test_a_name_that_claims_nothing_leaves_it_to_the_content(tmp_path: Path) -> None:
    path = sample_files.sample(tmp_path, "docx")
    for name in ("report", "report.docm", "report.backup", "", None):
        assert detect(path, name, "application/octet-stream") is FileType.DOCX


def test_source_code_is_text(tmp_path: Path) -> None:
    path = sample_files.plain_text(tmp_path / "main.py", "def main(): ...\n")
    assert detect(path, path.name, "text/x-python") is FileType.TEXT


def test_what_is_empty_or_binary_or_an_unknown_archive_is_refused(tmp_path: Path) -> None:
    empty, binary, archive, picture = (tmp_path / name for name in ("a.txt", "b.bin", "c.zip", "d.png"))
    empty.write_bytes(b"")
    binary.write_bytes(os.urandom(5000))
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89")
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("notes.txt", "Only words.")
    assert _refused(empty) is FailureCode.NO_CONTENT
    assert _refused(binary) is FailureCode.UNSUPPORTED_TYPE
    assert _refused(archive) is FailureCode.UNSUPPORTED_TYPE
    assert _refused(picture) is FailureCode.UNSUPPORTED_TYPE


def test_an_encrypted_office_document_says_so(tmp_path: Path) -> None:
    path = sample_files.encrypted_docx(tmp_path / "a.docx")
    assert _refused(path) is FailureCode.ENCRYPTED_FILE
    with pytest.raises(ItemError, match="without a password"):
        detect_head(path.read_bytes(), path.name, None)


def test_an_office_document_from_before_2007_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.doc"
    path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(5000))
    assert _refused(path) is FailureCode.UNSUPPORTED_TYPE


def test_a_truncated_document_is_malformed(tmp_path: Path) -> None:
    path = sample_files.truncated(sample_files.sample(tmp_path, "docx"))
    assert _refused(path) is FailureCode.MALFORMED_FILE


@given(data=st.data())
def test_damaged_files_are_refused_and_nothing_worse(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    ending = data.draw(st.sampled_from(sorted(BY_ENDING)))
    path = folder / f"sample.{ending}"
    if not path.exists():
        sample_files.sample(folder, ending)
    content = bytearray(path.read_bytes())
    # The beginning and the end are where a type is decided.
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, 120) | st.integers(-200, -1))
        content[at % len(content)] = data.draw(st.integers(0, 255))
    damaged = folder / f"damaged.{ending}"
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    with contextlib.suppress(ItemError):
        detect(damaged, damaged.name, None)
    with contextlib.suppress(ItemError):
        detect_head(damaged.read_bytes()[:HEAD_BYTES], damaged.name, None)


def test_an_archive_with_too_many_parts_is_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w") as made:
        for number in range(20_001):
            made.writestr(str(number), "")
    assert _refused(path) is FailureCode.EXTRACTION_LIMIT
