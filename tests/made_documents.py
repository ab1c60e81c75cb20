"""Documents of every format, made for tests, and how a test reads them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from email.message import EmailMessage
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from data import reading
from data.columns import DataError
from data.documents import formats

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
STYLES = f"""<w:styles {W}><w:style w:styleId="Kop2"><w:name w:val="heading 2"/></w:style></w:styles>"""
CONTAINER = """<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>"""
LOCKED = {"META-INF/encryption.xml": '<e><CipherReference URI="OPS/a.xhtml"/></e>'}
BOMB = '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


def packed(parts: dict, compression=zipfile.ZIP_DEFLATED) -> bytes:
    """A .zip file of these parts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return buffer.getvalue()


def docx(body: str, head: str = "", **more) -> bytes:
    """A .docx file with this body."""
    document = f"""<?xml version="1.0" encoding="UTF-8"?>{head}<w:document {W}><w:body>{body}</w:body></w:document>"""
    return packed({"word/document.xml": document, "word/styles.xml": STYLES, **more})


def paragraph(text: str, style: str = "") -> str:
    mark = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{mark}<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'


def epub(chapters: dict, title: str = "A Book", **more) -> bytes:
    """A book with these chapters, whose manifest lists them in another order than its spine."""
    items = [f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(chapters)]
    spine = "".join(f'<itemref idref="i{n}"/>' for n in range(len(chapters)))
    package = (
        f'<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>{title}</dc:title></metadata>'
        f"<manifest>{''.join(reversed(items))}</manifest><spine>{spine}</spine></package>"
    )
    inner = {f"OPS/{name}": text for name, text in chapters.items()}
    return packed({"META-INF/container.xml": CONTAINER, "OPS/book.opf": package, **inner, **more})


def mail(subject: str, text: str, page: str = "", attachment: bytes = b"") -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "Ada <ada@example.org>", "bor@example.org"
    message.set_content(text)
    if page:
        message.add_alternative(page, subtype="html")
    if attachment:
        message.add_attachment(attachment, maintype="application", subtype="pdf", filename="a.pdf")
    return message


def tar(parts: dict) -> bytes:
    """A .tar file; a part that is None is a link to /etc/passwd."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, content in parts.items():
            entry = tarfile.TarInfo(name)
            if content is None:
                entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            entry.size = len(content or b"")
            file.addfile(entry, io.BytesIO(content or b""))
    return buffer.getvalue()


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder: Path, name: str, content: str | bytes, notes: list | None = None):
    return list(formats.read_file(write(folder, name, content), [] if notes is None else notes))


def refusal(source: Path) -> str:
    with pytest.raises(DataError) as caught:
        reading.read_examples(source)
    assert caught.value.exit_code == 3
    return str(caught.value)


def texts(document) -> list[str]:
    return [block.text for block in document.blocks]
