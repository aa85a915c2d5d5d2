"""What is long in a request lies in a file without a name, and base64 is decoded piece by piece."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.http.holding_file import HoldingFile, decode_base64


def test_what_was_written_is_read_in_any_order_and_has_no_name(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    holding = HoldingFile(folder)
    assert not folder.exists()
    holding.append(b"first")
    holding.append(b"second")
    assert list(folder.iterdir()) == []
    assert b"".join(holding.pieces(5, 6)) == b"second"
    assert b"".join(holding.pieces(0, 5)) == b"first"
    assert b"".join(holding.pieces(2, 0)) == b""
    holding.close()
    with pytest.raises(RuntimeError):
        list(holding.pieces(0, 5))
    with pytest.raises(RuntimeError):
        holding.append(b"late")


def test_more_than_was_written_is_not_made_up(tmp_path: Path) -> None:
    holding = HoldingFile(tmp_path)
    holding.append(b"abc")
    with pytest.raises(ValueError, match="expected bytes"):
        list(holding.pieces(1, 3))
    holding.close()


@given(
    st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 400), st.sampled_from([b"", b"\n", b"\r\n", b" \t"])))
)
def test_base64_cut_anywhere_and_with_white_space_anywhere(data: bytes, cuts: list[tuple[int, bytes]]) -> None:
    text = base64.b64encode(data)
    pieces, begin = [], 0
    for place, blank in sorted(cuts):
        end = max(begin, min(place, len(text)))
        pieces.append(text[begin:end] + blank)
        begin = end
    assert b"".join(decode_base64(iter([*pieces, text[begin:]]))) == data


@pytest.mark.parametrize(
    "pieces",
    [
        [b"A"],
        [b"QUJD", b"Q"],
        [b"QQ="],
        [b"QQ==QQ=="],
        [b"QQ==", b"QQ=="],
        [b"QQ==", b"="],
        [b"Q=Q="],
        [b"===="],
        [b"QUJ-"],
        [b"QUJ_"],
        [b"QUJ\xc3\xa4"],
        [b"data:text/plain;base64,QUJD"],
        [b"QUJ\x00"],
    ],
)
def test_what_is_not_base64_is_refused(pieces: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        list(decode_base64(iter(pieces)))
