"""Documents of every type that the service reads, written as ordinary programs write them, and broken ones."""

from __future__ import annotations

import io
import json
import zipfile
from email.message import EmailMessage
from pathlib import Path
from xml.sax.saxutils import escape

import docx
import fpdf
import openpyxl
import pptx
import pypdf
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

__all__ = [
    "WRITERS",
    "billion_laughs_docx",
    "billion_laughs_odt",
    "csv_table",
    "deep_html",
    "docx_file",
    "eml",
    "encrypted_docx",
    "encrypted_pdf",
    "epub",
    "html",
    "json_file",
    "markdown",
    "odt",
    "pdf",
    "pdf_with_script",
    "plain_text",
    "pptx_file",
    "rtf",
    "sample",
    "truncated",
    "xlsx",
    "zip_bomb_docx",
]

#: Every sample says it, so that a test may look for it in the text.
SENTENCE = "The lighthouse keeper counts migrating cranes."
_ZIP_TIME = (2024, 1, 1, 0, 0, 0)
_DATA = Path(__file__).parent / "data"


def pdf(path: Path, pages: list[str]) -> Path:
    """One page a text."""
    _pdf(pages).output(str(path))
    return path


def _pdf(pages: list[str]) -> fpdf.FPDF:
    document = fpdf.FPDF()
    document.set_font("Helvetica", size=12)
    for text in pages:
        document.add_page()
        document.multi_cell(0, 8, text)
    return document


def encrypted_pdf(path: Path, pages: list[str], *, opens_with: str = "secret") -> Path:
    """Needs the password to be opened; with an empty one it is only protected against changes."""
    document = _pdf(pages)
    document.set_encryption(owner_password="owner", user_password=opens_with)
    document.output(str(path))
    return path


def pdf_with_script(path: Path, pages: list[str]) -> Path:
    """A PDF that runs JavaScript when a viewer opens it."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(bytes(_pdf(pages).output())))
    script = {NameObject("/S"): NameObject("/JavaScript"), NameObject("/JS"): TextStringObject("app.alert('opened');")}
    writer.root_object[NameObject("/OpenAction")] = DictionaryObject(script)
    writer.write(path)
    return path


def docx_file(path: Path, sections: dict[str, str]) -> Path:
    """Heading 1 and a paragraph a section."""
    document = docx.Document()
    for heading, text in sections.items():
        document.add_heading(heading, level=1)
        document.add_paragraph(text)
    document.save(str(path))
    return path


def encrypted_docx(path: Path) -> Path:
    """A real one, made by an office suite's algorithm (agile encryption): an OLE file with the package in it."""
    path.write_bytes((_DATA / "encrypted.docx").read_bytes())
    return path


def xlsx(path: Path, sheets: dict[str, list[list[object]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def pptx_file(path: Path, slides: dict[str, str]) -> Path:
    """A title and a text a slide."""
    show = pptx.Presentation()
    for title, text in slides.items():
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = text
    show.save(str(path))
    return path


def html(path: Path, sections: dict[str, str]) -> Path:
    body = "".join(f"<h2>{escape(heading)}</h2><p>{escape(text)}</p>" for heading, text in sections.items())
    page = (
        "<!DOCTYPE html><html><head><title>Sample</title><script>var hidden = 'script';</script></head>"
        f"<body><h1>Sample</h1>{body}</body></html>"
    )
    path.write_text(page, "utf-8")
    return path


def deep_html(path: Path, depth: int = 100_000) -> Path:
    path.write_text("<html><body>" + "<div>" * depth + SENTENCE + "</div>" * depth + "</body></html>", "utf-8")
    return path


def markdown(path: Path, sections: dict[str, str]) -> Path:
    path.write_text("".join(f"## {heading}\n\n{text}\n\n" for heading, text in sections.items()), "utf-8")
    return path


def eml(path: Path, subject: str, text: str, attachment: bytes | None = None) -> Path:
    message = EmailMessage()
    message["From"] = "Ada <ada@example.org>"
    message["To"] = "Grace <grace@example.org>"
    message["Subject"] = subject
    message["Date"] = "Mon, 01 Jan 2024 10:00:00 +0000"
    message.set_content(text)
    if attachment is not None:
        message.add_attachment(attachment, maintype="application", subtype="octet-stream", filename="data.bin")
    path.write_bytes(message.as_bytes())
    return path


def epub(path: Path, chapters: dict[str, str]) -> Path:
    files = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<?xml version="1.0"?><container version="1.0" '
        'xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="content.opf" '
        'media-type="application/oebps-package+xml"/></rootfiles></container>',
    }
    items, spine = "", ""
    for number, (title, text) in enumerate(chapters.items()):
        files[f"chapter{number}.xhtml"] = (
            '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head>'
            f"<title>{escape(title)}</title></head><body><h1>{escape(title)}</h1><p>{escape(text)}</p></body></html>"
        )
        items += f'<item id="c{number}" href="chapter{number}.xhtml" media-type="application/xhtml+xml"/>'
        spine += f'<itemref idref="c{number}"/>'
    files["content.opf"] = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">urn:sample</dc:identifier>'
        "<dc:title>Sample</dc:title><dc:language>en</dc:language></metadata>"
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    return _zip(path, files)


def odt(path: Path, sections: dict[str, str]) -> Path:
    return _odt(path, "", _odt_body(sections))


def _odt_body(sections: dict[str, str]) -> str:
    return "".join(
        f'<text:h text:outline-level="1">{escape(heading)}</text:h><text:p>{escape(text)}</text:p>'
        for heading, text in sections.items()
    )


def _odt(path: Path, doctype: str, body: str) -> Path:
    media_type = "application/vnd.oasis.opendocument.text"
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?>{doctype}<office:document-content '
        'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" office:version="1.2">'
        f"<office:body><office:text>{body}</office:text></office:body></office:document-content>"
    )
    manifest = (
        '<?xml version="1.0"?><manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{media_type}"/>'
        '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>'
    )
    return _zip(path, {"mimetype": media_type, "content.xml": content, "META-INF/manifest.xml": manifest})


def rtf(path: Path, paragraphs: list[str]) -> Path:
    body = "".join(f"\\pard {_rtf_escape(text)}\\par\n" for text in paragraphs)
    path.write_text(f"{{\\rtf1\\ansi\\deff0{{\\fonttbl{{\\f0 Times;}}}}\n{body}}}", "ascii")
    return path


def _rtf_escape(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace("{", "\\{").replace("}", "\\}")
    return "".join(each if each.isascii() else f"\\u{ord(each)}?" for each in plain)


def csv_table(path: Path, rows: list[list[str]]) -> Path:
    path.write_text("".join(",".join(row) + "\r\n" for row in rows), "utf-8")
    return path


def json_file(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value, indent=1), "utf-8")
    return path


def plain_text(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def zip_bomb_docx(path: Path, expanded_bytes: int) -> Path:
    """A document whose text is that many zeros before compression."""
    docx_file(path, {"Bomb": SENTENCE})
    return _replace(
        path, "word/document.xml", _docx_xml("", f"<w:p><w:r><w:t>{'0' * expanded_bytes}</w:t></w:r></w:p>")
    )


_LAUGHS = (
    '<!DOCTYPE lolz [<!ENTITY a "lol">'
    + "".join(
        f'<!ENTITY {name} "{f"&{previous};" * 10}">' for previous, name in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "]>"
)


def billion_laughs_docx(path: Path) -> Path:
    """Entities that expand to three gigabytes."""
    docx_file(path, {"Laughs": SENTENCE})
    return _replace(path, "word/document.xml", _docx_xml(_LAUGHS, "<w:p><w:r><w:t>&j;</w:t></w:r></w:p>"))


def billion_laughs_odt(path: Path) -> Path:
    return _odt(path, _LAUGHS, "<text:p>&j;</text:p>")


def _docx_xml(doctype: str, body: str) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{doctype}<w:document '
        'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        f"<w:body>{body}</w:body></w:document>"
    )


def truncated(path: Path, share: float = 0.5) -> Path:
    """Cut the file's end off."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def _zip(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            # The first entry of EPUB and OpenDocument is read without decompressing.
            entry.compress_type = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    return path


def _replace(path: Path, name: str, text: str) -> Path:
    with zipfile.ZipFile(path) as archive:
        files = {entry: archive.read(entry) for entry in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, data in files.items():
            archive.writestr(entry, text if entry == name else data)
    return path


def _sections(text: str) -> dict[str, str]:
    return {"Birds": text, "Weather": "Fog is expected along the coast."}


#: File extension -> a small document of that type with the text in it.
WRITERS = {
    "pdf": lambda path, text: pdf(path, [text, "The second page is about fog."]),
    "docx": lambda path, text: docx_file(path, _sections(text)),
    "xlsx": lambda path, text: xlsx(path, {"Birds": [["day", "note"], [1, text]], "Fog": [["day"], [2]]}),
    "pptx": lambda path, text: pptx_file(path, _sections(text)),
    "html": lambda path, text: html(path, _sections(text)),
    "md": lambda path, text: markdown(path, _sections(text)),
    "eml": lambda path, text: eml(path, "Cranes", text),
    "epub": lambda path, text: epub(path, _sections(text)),
    "csv": lambda path, text: csv_table(path, [["day", "note"], ["1", text]]),
    "json": lambda path, text: json_file(path, {"day": 1, "note": text}),
    "txt": lambda path, text: plain_text(path, text + "\n"),
    "rtf": lambda path, text: rtf(path, [text, "Fog."]),
    "odt": lambda path, text: odt(path, _sections(text)),
}


def sample(folder: Path, extension: str, text: str = SENTENCE) -> Path:
    """A document of that type with that text, in the folder."""
    return WRITERS[extension](folder / f"sample.{extension}", text)
