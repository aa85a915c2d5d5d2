"""Web pages through the real extraction process: main text, links, encodings; hostile ones end within limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexmill.domain.failure import FailureCode
from indexmill.errors import ItemError
from indexmill.readers.reader import Extractor
from indexmill.readers.web_page import WebPage
from indexmill.settings import ReaderSettings
from indexmill.settings_section import MIB

EXCLUDED = ("nav", "footer", "header", "aside", "script", "style", "form", "iframe", "noscript")
PARAGRAPH = "The crane is a large bird with a long neck, and it flies a long way south before the winter comes. " * 3


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    made = Extractor(ReaderSettings(timeout_seconds=60), 1_000_000)
    yield made
    made.close()


def _read(extractor: Extractor, tmp_path: Path, page: str | bytes, **more: Any) -> WebPage:
    path = tmp_path / "page"
    path.write_bytes(page if isinstance(page, bytes) else page.encode())
    chosen = {"charset": None, "exclude": EXCLUDED, "seconds": 60.0, "check": lambda: None} | more
    return extractor.read_page(path, **chosen)


def test_the_main_text_is_markdown_without_what_surrounds_it(extractor: Extractor, tmp_path: Path) -> None:
    page = _read(
        extractor,
        tmp_path,
        f"""<html><head><title> Cranes &amp;
        herons </title></head><body><header>Site</header><nav><a href="/menu">Menu</a></nav>
        <article><h1>Cranes</h1><p>{PARAGRAPH}</p><h2>Food</h2><p>{PARAGRAPH}</p><ul><li>Frogs</li></ul></article>
        <aside>Advertisement</aside><script>alert(1)</script><footer>Imprint</footer></body></html>""",
    )
    assert page.title == "Cranes & herons"
    assert page.text.startswith("# Cranes\n")
    assert [(each.level, each.title) for each in page.headings] == [(1, "Cranes"), (2, "Food")]
    assert [page.text[each.start :].split("\n")[0] for each in page.headings] == ["# Cranes", "## Food"]
    assert "Frogs" in page.text
    assert not [word for word in ("Site", "Menu", "Advertisement", "alert", "Imprint") if word in page.text]
    # Menus lead to pages, even where their words are left out.
    assert page.links == ("/menu",)


def test_a_short_page_keeps_its_headings(extractor: Extractor, tmp_path: Path) -> None:
    page = _read(extractor, tmp_path, "<h1>Cranes</h1><p>They fly.<h2>Food</h2>Frogs.")
    assert page.text == "# Cranes\n\nThey fly.\n\n## Food\n\nFrogs."
    assert page.title == "Cranes"


@pytest.mark.parametrize(
    ("exclude", "kept"),
    [
        ((), ["one", "two", "three", "four"]),
        ((".ad",), ["two", "three", "four"]),
        (("p.ad",), ["one", "two", "three", "four"]),
        (("div.ad", "#note"), ["two", "four"]),
        (("p",), ["one", "two", "four"]),
        (("body", "html", "li"), ["one", "two", "three", "four"]),
    ],
)
def test_tags_classes_and_ids_are_left_out(
    extractor: Extractor, tmp_path: Path, exclude: tuple[str, ...], kept: list[str]
) -> None:
    page = '<div class="big ad">one</div><div class="adverb">two</div><p id="note">three</p><div>four</div>'
    found = _read(extractor, tmp_path, page, exclude=exclude)
    assert [word for word in ("one", "two", "three", "four") if word in found.text] == kept


def test_what_a_page_says_to_crawlers(extractor: Extractor, tmp_path: Path) -> None:
    page = _read(
        extractor,
        tmp_path,
        """<head><base href="/base/"><link rel="Canonical" href=" /c "><link rel=canonical href=/later>
        <meta name="Robots" content="noindex"><meta name="indexmill" content="nofollow">
        <meta http-equiv="refresh" content="5; URL='/next'"></head><body>
        <a href="a">a</a><a href="a">again</a><a href="#top">up</a><a href="">nothing</a><a>none</a>
        <a rel="noopener NoFollow" href="b">b</a><area href="c"><iframe src="d"></iframe>
        <img src="e.png"><embed src="f.pdf"><object data="g.pdf"></object><svg><title>picture</title></svg>""",
    )
    assert page.links == ("/next", "a", "c", "d")
    assert page.media == ("e.png", "f.pdf", "g.pdf")
    assert (page.base, page.canonical) == ("/base/", "/c")
    assert page.robots == (("robots", "noindex"), ("indexmill", "nofollow"))


@pytest.mark.parametrize(
    ("encoding", "charset", "declared"),
    [
        ("utf-8", None, ""),
        ("utf-8", "iso-8859-1", "iso-8859-1"),
        ("utf-8-sig", "koi8-r", ""),
        ("koi8-r", "KOI8-R", ""),
        ("koi8-r", None, "koi8-r"),
        ("koi8-r", "no-such-charset", "koi8-r"),
        ("koi8-r", '"koi8-r"', "utf-16"),
        ("utf-16", None, "utf-8"),
        ("iso-2022-jp", "iso-2022-jp", ""),
    ],
)
def test_encodings(extractor: Extractor, tmp_path: Path, encoding: str, charset: str | None, declared: str) -> None:
    words = "鶴は南へ飛ぶ" if encoding == "iso-2022-jp" else "Журавли летят на юг"
    meta = f'<meta http-equiv="content-type" content="text/html; charset={declared}">' if declared else ""
    page = f"<html><head>{meta}<title>{words}</title></head><body><p>{words}</p></body></html>"
    found = _read(extractor, tmp_path, page.encode(encoding), charset=charset)
    assert (found.title, found.text) == (words, words)


@pytest.mark.parametrize("charset", ["punycode", "idna", "zlib", "hex", "unicode_escape", "undefined", "", "\x00"])
def test_what_is_no_encoding_of_pages_is_not_believed(extractor: Extractor, tmp_path: Path, charset: str) -> None:
    assert _read(extractor, tmp_path, "<p>Cranes\\u0041", charset=charset).text == "Cranes\\u0041"


@pytest.mark.parametrize("page", ["", " ", "<!-- -->", "<html></html>", "<p>\0</p>", "<script>x</script>", "<?xml?>"])
def test_pages_without_text_are_no_error(extractor: Extractor, tmp_path: Path, page: str) -> None:
    assert _read(extractor, tmp_path, page).text == ""


def test_a_page_that_is_nested_without_end_is_read(extractor: Extractor, tmp_path: Path) -> None:
    for tag in ("div", "b", "table><tr><td"):
        assert "Cranes" in _read(extractor, tmp_path, f"<body>{f'<{tag}>' * 30_000}<p>Cranes").text


def test_links_are_bounded(extractor: Extractor, tmp_path: Path) -> None:
    found = _read(extractor, tmp_path, "".join(f'<a href="/{number}">x</a>' for number in range(20_000)))
    assert len(found.links) == 10_000
    found = _read(extractor, tmp_path, "".join(f'<a href="/{number}{"x" * 8000}">x</a>' for number in range(500)))
    assert len(found.links) < 200
    assert _read(extractor, tmp_path, f'<a href="{"x" * 9000}">x</a>').links == ()


def test_too_much_text_and_too_little_memory_or_time(tmp_path: Path) -> None:
    page = f"<p>{'crane ' * 200_000}</p>"
    for settings, more, code in (
        (ReaderSettings(), {}, FailureCode.TOO_LARGE),
        (ReaderSettings(memory_bytes=256 * MIB), {"page": "<p>a<b>c</b>" * 800_000}, FailureCode.EXTRACTION_LIMIT),
        (ReaderSettings(), {"seconds": 0.001}, FailureCode.EXTRACTION_TIMEOUT),
    ):
        extractor = Extractor(settings, 1_000_000)
        try:
            with pytest.raises(ItemError) as failure:
                _read(extractor, tmp_path, **({"page": page} | more))
        finally:
            extractor.close()
        assert failure.value.code is code
