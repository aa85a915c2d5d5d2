"""Archives that would harm who unpacks them are refused by what they hold, not by what they declare."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from indexmill.domain.failure import FailureCode
from indexmill.errors import ItemError
from indexmill.readers.archive import check_archive
from tests import sample_files


def _refused(path: Path, limit: int = 10_000_000) -> FailureCode:
    with pytest.raises(ItemError) as refusal:
        check_archive(path, "Word document", limit)
    assert "Word document" in refusal.value.sentence
    return refusal.value.code


@pytest.mark.parametrize("ending", ["docx", "xlsx", "pptx", "epub", "odt"])
def test_ordinary_documents_pass(tmp_path: Path, ending: str) -> None:
    check_archive(sample_files.sample(tmp_path, ending), "document", 10_000_000)


def test_a_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    path = sample_files.zip_bomb_docx(tmp_path / "a.docx", 20_000_000)
    assert path.stat().st_size < 100_000
    assert _refused(path) is FailureCode.EXTRACTION_LIMIT


def test_a_bomb_that_declares_a_small_size_is_refused(tmp_path: Path) -> None:
    path = sample_files.zip_bomb_docx(tmp_path / "a.docx", 20_000_000)
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("word/document.xml").file_size
    # In both headers of the part: 100 bytes.
    data = path.read_bytes().replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little"))
    path.write_bytes(data)
    assert _refused(path) in {FailureCode.EXTRACTION_LIMIT, FailureCode.MALFORMED_FILE}


@pytest.mark.parametrize("write", [sample_files.billion_laughs_docx, sample_files.billion_laughs_odt])
def test_entities_are_refused(tmp_path: Path, write: object) -> None:
    assert _refused(write(tmp_path / "a")) is FailureCode.EXTRACTION_LIMIT  # type: ignore[operator]


def test_a_damaged_part_is_malformed(tmp_path: Path) -> None:
    path = sample_files.sample(tmp_path, "docx")
    with zipfile.ZipFile(path) as archive:
        part = archive.getinfo("word/document.xml")
    data = bytearray(path.read_bytes())
    at = part.header_offset + 100
    data[at : at + 50] = bytes(50)
    path.write_bytes(data)
    assert _refused(path) is FailureCode.MALFORMED_FILE
