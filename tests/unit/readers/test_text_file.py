"""Text files: every usual encoding, damage that is survived, and sizes that are refused before they are in memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from indexmill.domain.failure import FailureCode
from indexmill.errors import ItemError
from indexmill.readers.file_type import FileType, detect
from indexmill.readers.text_file import read_text
from tests import sample_files

WESTERN = "Grüße aus der Straße: «naïve café», 5 €.\nZweite Zeile."


def _read(path: Path, max_text_bytes: int = 1_000_000, file_type: FileType = FileType.TEXT) -> str:
    return read_text(path, file_type, max_text_bytes, lambda: None).text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", WESTERN),
        ("utf-8-sig", WESTERN),
        ("utf-16", WESTERN),
        ("utf-16-le", WESTERN),
        ("utf-16-be", WESTERN),
        ("utf-32", WESTERN),
        ("cp1252", WESTERN),
        ("utf-8", "灯台守は鶴を数えます"),
        ("cp1251", "Смотритель маяка считает журавлей каждое утро"),
        ("shift_jis", "灯台守は渡り鳥の鶴を数えます。毎朝霧が出ます"),
        ("gb18030", "灯塔看守人每天早上数着迁徙的鹤"),
    ],
)
def test_usual_encodings_are_recognised(tmp_path: Path, encoding: str, text: str) -> None:
    path = sample_files.plain_text(tmp_path / "a.txt", text, encoding)
    assert detect(path, path.name, None) is FileType.TEXT
    assert _read(path) == text


def test_line_breaks_become_one_character(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\r\ntwo\rthree\nfour")
    assert _read(path) == "one\ntwo\nthree\nfour"


def test_nul_characters_become_spaces_and_keep_offsets(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"number,name\n1,light\0house\n")
    assert detect(path, path.name, None) is FileType.CSV
    assert _read(path) == "number,name\n1,light house\n"


def test_a_character_on_the_border_of_two_pieces_is_whole(tmp_path: Path) -> None:
    text = "a" * (1_048_576 - 1) + "ü" + "b" * 10
    path = sample_files.plain_text(tmp_path / "a.txt", text)
    assert _read(path, 2_000_000) == text


def test_damage_far_from_the_beginning_costs_one_character(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a" * 100_000 + b"\xff" + b"b" * 10)
    assert _read(path) == "a" * 100_000 + "\ufffd" + "b" * 10


def test_white_space_only_is_no_content(tmp_path: Path) -> None:
    path = sample_files.plain_text(tmp_path / "a.txt", " \n\t ")
    with pytest.raises(ItemError) as refusal:
        _read(path)
    assert refusal.value.code is FailureCode.NO_CONTENT


@pytest.mark.parametrize("size", [1_100_000, 300_000_000])
def test_too_much_text_is_refused_without_reading_it_all(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.write(b"word " * 200)
        # A sparse file: no disk, no time.
        file.truncate(size)
    tracemalloc.start()
    with pytest.raises(ItemError) as refusal:
        _read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal.value.code is FailureCode.TOO_LARGE
    assert "worker.max_text_bytes" in refusal.value.sentence
    assert peak < 10_000_000


def test_the_limit_counts_bytes_of_utf_8(tmp_path: Path) -> None:
    path = sample_files.plain_text(tmp_path / "a.txt", "müde " * 1000, "cp1252")
    assert len(_read(path, 6000)) == 5000
    with pytest.raises(ItemError):
        _read(path, 5999)


def test_the_check_can_stop_it(tmp_path: Path) -> None:
    path = sample_files.plain_text(tmp_path / "a.txt", "words")

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        read_text(path, FileType.TEXT, 1000, stop)


def test_a_markdown_file_has_headings(tmp_path: Path) -> None:
    path = sample_files.markdown(tmp_path / "a.md", {"Birds": "Cranes.", "Fog": "Coast."})
    found = read_text(path, FileType.MARKDOWN, 1000, lambda: None)
    assert [(found.text[each.start :].split("\n")[0], each.level) for each in found.headings] == [
        ("Birds", 2),
        ("Fog", 2),
    ]
    assert found.pages == ()
