"""Forms are read as they come: cut anywhere, limited in parts, headers and fields, names cleaned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from indexmill.http.form_data import FormData, FormFile, boundary_of
from indexmill.http.holding_file import HoldingFile
from indexmill.http.json_lists import TooLarge

HEAD = b'Content-Disposition: form-data; name="%b"'


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[HoldingFile]:
    made = HoldingFile(tmp_path)
    yield made
    made.close()


def parse(
    holding: HoldingFile, body: bytes, boundary: bytes = b"X", step: int = 7, fields: int = 1000
) -> dict[str, Any]:
    form = FormData(boundary, holding, fields)
    for at in range(0, len(body), step):
        form.feed(body[at : at + step])
    return form.finish()


def parts(*each: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"--X\r\n%b\r\n\r\n%b\r\n" % part for part in each) + b"--X--\r\n"


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300) | st.text(alphabet="\r\n-X", max_size=80).map(str.encode), step=st.integers(1, 60))
def test_what_an_ordinary_client_sends_arrives(holding: HoldingFile, data: bytes, step: int) -> None:
    request = httpx.Request(
        "POST",
        "http://x/",
        data={"collection": "c1", "metadata": '{"a": "ä"}'},
        files={"file": ("Bericht ü.pdf", data, "application/pdf")},
    )
    boundary = boundary_of(request.headers["content-type"])
    assert boundary is not None
    fields = parse(holding, request.read(), boundary, step)
    file = fields.pop("file")
    assert fields == {"collection": "c1", "metadata": '{"a": "ä"}'}
    assert (file.file_name, file.media_type, file.size) == ("Bericht ü.pdf", "application/pdf", len(data))
    assert b"".join(holding.pieces(file.begin, file.size)) == data


@pytest.mark.parametrize(
    ("given_name", "cleaned"),
    [
        (b"../../etc/passwd", "passwd"),
        (b"C:\\folder\\a.pdf", "a.pdf"),
        (b"a\x7f\x1b.txt", "a.txt"),
        (b"..", None),
        (b"", None),
        (b"\xe4.txt", "ä.txt"),
    ],
)
def test_a_file_name_is_a_name_and_no_place(holding: HoldingFile, given_name: bytes, cleaned: str | None) -> None:
    head = HEAD % b"file" + b'; filename="' + given_name + b'"'
    (file,) = parse(holding, parts((head, b"x"))).values()
    assert (file.file_name, file.size) == (cleaned, 1)


def test_whoever_wants_it_has_the_name_as_it_came(holding: HoldingFile) -> None:
    head = HEAD % b"file" + b'; filename="https://example.com/a/b.pdf"'
    given = FormFile(0, 1, "b.pdf", None, "https://example.com/a/b.pdf")
    assert parse(holding, parts((head, b"x"))) == {"file": given}


def test_a_text_that_a_client_gives_among_its_files_is_a_field(holding: HoldingFile) -> None:
    request = httpx.Request("POST", "http://x/", files={"file": ("a", b"x"), "metadata": ("metadata", b"{}")})
    boundary = boundary_of(request.headers["content-type"])
    assert boundary is not None
    assert parse(holding, request.read(), boundary)["metadata"] == "{}"


def test_a_file_without_a_name_is_a_file(holding: HoldingFile) -> None:
    assert parse(holding, parts((HEAD % b"file", b"x" * 5000)), step=100) == {"file": FormFile(0, 5000, None, None)}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "last boundary"),
        (b"no form", "boundar"),
        (parts((HEAD % b"a", b"1"))[:-6], "last boundary"),
        (parts((b"Content-Type: text/plain", b"1")), "Content-Disposition"),
        (parts((b"Content-Disposition: attachment; name=a", b"1")), "Content-Disposition"),
        (parts((b"Content-Disposition: form-data", b"1")), "Content-Disposition"),
        (parts((HEAD % b"a", b"1"), (HEAD % b"a", b"2")), "`a` twice"),
        (parts((HEAD % b"other" + b'; filename="a.txt"', b"1")), "`file`"),
        (parts((HEAD % b"file" + b"\r\nContent-Transfer-Encoding: base64", b"QQ==")), "transfer encoding"),
        (parts((HEAD % b"a", b"\xff")), "UTF-8"),
    ],
)
def test_what_is_no_form_is_refused_in_words(holding: HoldingFile, body: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(holding, body)


@pytest.mark.parametrize(
    "body",
    [
        parts(*((HEAD % b"f%d" % number, b"") for number in range(40))),
        parts((HEAD % b"a", b"x" * 600), (HEAD % b"b", b"x" * 600)),
        parts((HEAD % b"a" + b"".join(b"\r\nX-%d: %b" % (n, b"y" * 900) for n in range(6)), b"")),
    ],
)
def test_parts_fields_and_headers_are_limited(holding: HoldingFile, body: bytes) -> None:
    with pytest.raises((TooLarge, ValueError), match=r"most|small fields|[Mm]ax"):
        parse(holding, body)


@pytest.mark.parametrize(
    "given_type",
    ["multipart/form-data", 'multipart/form-data; boundary=""', "multipart/form-data; boundary=" + "x" * 71],
)
def test_a_form_needs_a_boundary(given_type: str) -> None:
    with pytest.raises(ValueError, match="boundary"):
        boundary_of(given_type)


@pytest.mark.parametrize("given_type", [None, "", "application/json", "multipart/mixed; boundary=x"])
def test_what_is_no_form_has_none(given_type: str | None) -> None:
    assert boundary_of(given_type) is None
