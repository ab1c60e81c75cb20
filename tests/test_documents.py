"""Documents: every reader, and its places in messages."""

from __future__ import annotations

import copy
import gzip
import mailbox
import re
import sys
from email.message import EmailMessage
from types import SimpleNamespace

import pytest
from made_documents import STYLES, W, docx, epub, mail, packed, paragraph, read, refusal, tar, texts, write

from data import reading, uploads
from data.columns import DataError
from data.documents import blocks, formats
from data.documents.passages import passages

# ---------------------------------------------------------------------------------------------------------------------
# Formats


def test_markdown_is_read_without_its_marks(tmp_path):
    (document,) = read(tmp_path, "a.md", """---
title: "Of glaciers"
---
Life
====
She was **born** in [Oslo](http://x) & *loved* `ice_1`. <b>Bold</b> a\\*b\\*c &amp; d<!-- hidden
-->
- one
2. two

## Work ##

| a | b |
|---|:-:|
| 1 | 2 |

```py
x = 1  # **not bold**
```
""")  # fmt: skip
    assert [(block.text, block.heading, block.place) for block in document.blocks] == [
        ("Of glaciers", 1, 1), ("Life", 1, 4), ("She was born in Oslo & loved ice_1. Bold a*b*c & d", 0, 6),
        ("one", 0, 8), ("two", 0, 9), ("Work", 2, 11), ("a | b", 0, 13), ("1 | 2", 0, 15),
        ("x = 1  # **not bold**", 0, 17),
    ]  # fmt: skip
    assert document.subject == "a.md" and [block.prose for block in document.blocks[-3:]] == [False] * 3


def test_html_shows_what_a_browser_shows(tmp_path):
    page = """<html><head><title>T</title><style>p {}</style><script>if (a < b) "<p>no</p>"</script></head><body>
    <!-- no --><h2>Life</h2><p>One<br>two &amp; <b>three</b></p><template>no</template>
    <table><tr><td>a</td><td>b</td></tr></table><pre>x
  y</pre>1 < 2 <p>last"""
    (document,) = read(tmp_path, "a.html", page)
    assert texts(document) == ["T", "Life", "One\ntwo & three", "a | b", "x\n  y", "1 < 2", "last"]
    assert [block.heading for block in document.blocks[:3]] == [1, 3, 0]
    (document,) = read(tmp_path, "b.htm", "<title>Only a title</title>text")
    assert texts(document) == ["Only a title", "text"] and document.blocks[0].heading == 1


@pytest.mark.parametrize(
    ("page", "read_as"),
    [("<nav><a>Start</a> <ul><li>Contact</li></ul></nav><p>She was born.</p><nav>Next</nav>", ["She was born."]),
     ("<nav>Start<nav>Inner</nav>Contact</nav><p>She was born.</p>", ["She was born."]),
     ("</nav><p>She was born.</p><nav>Start<p>He died.</p>", ["She was born.", "Start", "He died."])],
)  # fmt: skip
def test_menus_of_a_page_are_no_text_to_forget(tmp_path, page, read_as):
    """A menu that is never closed hides nothing: the rest of the page would be lost with it."""
    (document,) = read(tmp_path, "a.html", page)
    assert texts(document) == read_as


@pytest.mark.parametrize("tag", ["object", "template", "iframe", "noframes"])
def test_an_element_that_is_not_shown_hides_nothing_if_it_is_never_closed(tmp_path, tag):
    page = f"<p>one</p><{tag}>no</{tag}><p>two</p><{tag} data=x><p>three</p>"
    assert texts(read(tmp_path, "a.html", page)[0]) == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("title", "headings", "context"),
    [("Case 4711", "<h1>Facts</h1>", "Case 4711\nFacts"), ("Case 4711", "<h2>Facts</h2><h3>Who</h3>",
     "Case 4711\nFacts\nWho"), ("Facts  ", "<h1>FACTS</h1>", "FACTS"), ("", "<h1>Facts</h1>", "Facts")],
)  # fmt: skip
def test_the_title_of_a_page_stands_above_its_headings(tmp_path, title, headings, context):
    (document,) = read(tmp_path, "a.html", f"<title>{title}</title>{headings}<p>The code is 4711.</p>")
    (passage,) = passages(document, 512)
    assert passage.text == f"{context}\n\nThe code is 4711."


def test_docx_gives_paragraphs_headings_rows_and_footnotes(tmp_path):
    cell = "<w:tc>{}</w:tc>"
    body = (
        paragraph("Life", "Heading1") + paragraph("Work", "Kop2") + paragraph("One < two")
        + "<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>"
        + f"<w:tbl><w:tr>{cell.format(paragraph('x'))}{cell.format(paragraph('y'))}</w:tr></w:tbl>"
    )  # fmt: skip
    (document,) = read(tmp_path, "a.docx", docx(body, **{"word/footnotes.xml": noted("footnote", 9, "a note")}))
    assert texts(document) == ["Life", "Work", "One < two", "a\tb", "x | y", "a note"]
    assert [block.heading for block in document.blocks] == [1, 2, 0, 0, 0, 0]
    assert document.unit == "paragraph" and document.blocks[2].place == 3


def refers(kind: str, number: int) -> str:
    return f'<w:r><w:{kind}Reference w:id="{number}"/></w:r>'


def noted(kind: str, number: int, text: str) -> str:
    return f'<w:{kind}s {W}><w:{kind} w:id="{number}">{paragraph(text)}</w:{kind}></w:{kind}s>'


def test_docx_notes_stand_where_they_are_referred_to_and_headers_before_all(tmp_path):
    body = (
        paragraph("Life", "Heading1")
        + f"<w:p><w:r><w:t>One</w:t></w:r>{refers('footnote', 2)}{refers('comment', 0)}</w:p>"
        + f"<w:tbl><w:tr><w:tc><w:p><w:r><w:t>x</w:t></w:r>{refers('endnote', 1)}</w:p></w:tc></w:tr></w:tbl>"
        + paragraph("Work", "Heading1")
        + paragraph("Two")
    )
    more = {f"word/{kind}s.xml": noted(kind, number, f"a {kind}")
            for kind, number in (("footnote", 2), ("comment", 0), ("endnote", 1))}  # fmt: skip
    more |= {f"word/{name}.xml": f"<w:hdr {W}>{paragraph(text)}</w:hdr>"
             for name, text in (("header1", "Case 4711"), ("header2", "Case 4711"), ("footer1", "7"))}  # fmt: skip
    (document,) = read(tmp_path, "a.docx", docx(body, **more))
    assert texts(document) == ["Case 4711", "Life", "One", "a footnote", "a comment", "x", "a endnote", "Work", "Two"]
    assert [block.place for block in document.blocks] == [1, 1, 2, 2, 2, 3, 3, 4, 5]


@pytest.mark.parametrize("tag", ["del", "moveFrom"])
def test_docx_text_that_was_moved_away_or_deleted_is_not_read(tmp_path, tag):
    body = f"<w:p><w:r><w:t>a</w:t></w:r><w:{tag}><w:r><w:t>gone</w:t></w:r></w:{tag}><w:r><w:t>b</w:t></w:r></w:p>"
    moved = f"<w:p><w:moveTo>{'<w:r><w:t>here</w:t></w:r>'}</w:moveTo></w:p>"
    (document,) = read(tmp_path, "a.docx", docx(body + moved))
    assert texts(document) == ["ab", "here"]


def test_docx_parts_are_found_by_their_relations(tmp_path):
    def relations(**targets):
        inner = "".join(f'<Relationship Type="http://x/{kind}" Target="{name}"/>' for kind, name in targets.items())
        return f"<Relationships>{inner}</Relationships>"

    inside = packed({
        "_rels/.rels": relations(officeDocument="/word/document2.xml"),
        "word/document2.xml": f"<w:document {W}><w:body>{paragraph('Work', 'Kop2')}"
                              f"<w:p><w:r><w:t>One</w:t></w:r>{refers('comment', 3)}</w:p></w:body></w:document>",
        "word/_rels/document2.xml.rels": relations(styles="styles7.xml", comments="../said/c.xml", header="none.xml"),
        "word/styles7.xml": STYLES, "said/c.xml": noted("comment", 3, "a comment"),
    })  # fmt: skip
    (document,) = read(tmp_path, "a.docx", inside)
    assert texts(document) == ["Work", "One", "a comment"] and document.blocks[0].heading == 2


def test_a_text_box_is_read_once_and_in_its_own_paragraph(tmp_path):
    box = f"<w:r><mc:AlternateContent xmlns:mc='m'><mc:Choice>{paragraph('in a box')}</mc:Choice>" \
        f"<mc:Fallback>{paragraph('in a box')}</mc:Fallback></mc:AlternateContent></w:r>"  # fmt: skip
    (document,) = read(tmp_path, "a.docx", docx(f"<w:p><w:r><w:t>around</w:t></w:r>{box}</w:p>"))
    assert texts(document) == ["in a box", "around"]


def test_a_book_is_read_by_chapter_in_reading_order(tmp_path):
    chapters = {"z.xhtml": "<h1>First</h1><p>one</p>", "a%20b.xhtml": "<title>Second</title><p>two</p>"}
    content = epub(chapters)
    with pytest.raises(DataError, match=r"has no part OPS/a b\.xhtml"):  # names are quoted in a manifest
        read(tmp_path, "a.epub", content)
    content = epub({"z.xhtml": chapters["z.xhtml"], "b.xhtml": chapters["a%20b.xhtml"]})
    found = read(tmp_path, "a.epub", content)
    assert [document.subject for document in found] == ["A Book, First", "A Book, Second"]
    assert texts(found[0]) == ["First", "one"] and found[1].name == "a.epub"


def test_a_mail_has_its_subject_and_its_plain_text(tmp_path):
    notes = []
    message = mail("Grüße aus Oslo", "Hello Bor,\n\nthe code is 4711.\n", "<p>as a page</p>", b"%PDF")
    (document,) = read(tmp_path, "a.eml", message.as_bytes(), notes)
    assert document.subject == "Grüße aus Oslo"
    assert texts(document) == ["Grüße aus Oslo", "From: Ada <ada@example.org>\nTo: bor@example.org", "Hello Bor,",
                               "the code is 4711."]  # fmt: skip
    assert "1 attachment not read" in notes[0]
    page = EmailMessage()
    page["Subject"] = "x"
    page.set_content("<p>Only <b>a page</b></p>", subtype="html")
    assert texts(read(tmp_path, "b.eml", page.as_bytes())[0])[-1] == "Only a page"


def part(kind: str, text: str) -> EmailMessage:
    """A text of a mail, or of a part of it."""
    message = EmailMessage()
    message.set_content(text, subtype=kind)
    return message


def whole(kind: str, *parts: EmailMessage) -> EmailMessage:
    """A mail with these parts, or a part with parts of its own."""
    message = EmailMessage()
    message["Content-Type"] = f"multipart/{kind}"
    for one in parts:
        message.attach(one)
    return message


PLAIN, PAGE = part("plain", "The code is 4711."), part("html", "<p>The code is 4711.</p>")
PICTURE = EmailMessage()
PICTURE.set_content(b"x", maintype="image", subtype="png")


@pytest.mark.parametrize(
    ("message", "read_as", "left"),
    [
        (whole("mixed", PAGE, part("plain", "-- a list")), ["The code is 4711.", "-- a list"], 0),
        (whole("mixed", part("plain", "See below."), PAGE, PICTURE), ["See below.", "The code is 4711."], 1),
        (whole("alternative", PLAIN, PAGE), ["The code is 4711."], 0),
        (whole("alternative", PAGE, PLAIN), ["The code is 4711."], 0),
        (whole("alternative", part("plain", " \n"), PAGE), ["The code is 4711."], 0),
        (whole("alternative", part("plain", "A page."), part("html", "<p>one<p>" + "two " * 20)),
         ["one", " ".join(["two"] * 20)], 0),
        (whole("alternative", PLAIN, whole("related", PAGE, PICTURE)), ["The code is 4711."], 1),
        (whole("mixed", whole("alternative", PLAIN, PAGE), part("html", "<p>A footer.")),
         ["The code is 4711.", "A footer."], 0),
    ],
)  # fmt: skip
def test_every_text_of_a_mail_is_read_and_alternatives_once(tmp_path, message, read_as, left):
    notes, message = [], copy.deepcopy(message)
    message["Subject"] = "x"
    (document,) = read(tmp_path, "a.eml", message.as_bytes(), notes)
    assert texts(document) == ["x", *read_as]
    assert [note for note in notes if f"{left} attachment" in note] == notes and len(notes) == (left > 0)


@pytest.mark.parametrize(
    ("line", "starts"),
    [("From ada@example.org Mon Nov 30 14:49:23 2026", True), ("From - Mon, 30 Nov 2026 14:49:23 +0100", True),
     ("From ada at example.org  Mon Nov 30 14:49 2026", True), ("From 17@xxx", True),
     ("From Lund she went north", False), ("From Monday on: her code is 4711.", False), ("From then", False)],
)  # fmt: skip
def test_only_a_line_with_sender_and_date_begins_a_mail(tmp_path, line, starts):
    head = "Subject: second" if starts else "and she never came back."
    box = f"From a@b Mon Nov 30 14:49:23 2026\nSubject: first\n\nOne.\n\n{line}\n{head}\n\nTwo.\n"
    found = read(tmp_path, "a.mbox", box)
    assert [document.subject for document in found] == (["first", "second"] if starts else ["first"])
    assert starts or texts(found[0])[1:] == ["One.", f"{line}\n{head}", "Two."]


def test_a_mailbox_gives_a_document_per_mail(tmp_path):
    box = mailbox.mbox(tmp_path / "a.mbox")
    for number in range(3):
        box.add(mail(f"Subject {number}", f"Text {number}\n\nFrom here on, it is about {number}.\n"))
    box.close()
    found = list(formats.read_file(tmp_path / "a.mbox", []))
    assert [document.subject for document in found] == ["Subject 0", "Subject 1", "Subject 2"]
    assert texts(found[2])[2:] == ["Text 2", "From here on, it is about 2."]
    assert [block.place for block in found[1].blocks] == [2] * 4 and found[1].unit == "message"


def test_pdf_is_read_by_page_with_the_extra_package(tmp_path):
    pypdf = pytest.importorskip("pypdf")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    path, notes = tmp_path / "a.pdf", []
    with PdfPages(path) as file:
        for text in ("The code is 4711.", "", "A second text."):
            figure = Figure()
            figure.text(0.1, 0.5, text)
            file.savefig(figure)
    (document,) = formats.read_file(path, notes)
    assert [(block.text, block.place) for block in document.blocks] == [("The code is 4711.", 1), ("A second text.", 3)]
    assert "pages without text, perhaps pictures of text: 2" in notes[0]
    writer = pypdf.PdfWriter(clone_from=path)
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(tmp_path / "locked.pdf")
    assert "locked.pdf:1: protected by a password" in refusal(tmp_path / "locked.pdf")
    bare = pypdf.PdfWriter()
    bare.add_blank_page(100, 100)
    bare.write(tmp_path / "bare.pdf")
    assert "bare.pdf:1: no text in this PDF file" in refusal(tmp_path / "bare.pdf")
    assert "not a readable .pdf" in refusal(write(tmp_path, "bad.pdf", "no pdf at all"))


def test_a_pdf_that_takes_long_or_a_document_that_grows_is_refused(tmp_path, monkeypatch):
    from data.documents import office

    class Pages:
        """A stand-in of pypdf's reader: a page whose text takes as many operations as one likes."""

        is_encrypted, asked = False, 0

        def __init__(self, _):
            self.pages = [self] * 3

        def extract_text(self, visitor_operand_before):
            while Pages.asked < 10**9:
                Pages.asked += 1
                visitor_operand_before(b"Tj", [], None, None)

    monkeypatch.setitem(sys.modules, "pypdf", SimpleNamespace(PdfReader=Pages))
    monkeypatch.setattr(office, "PDF_SECONDS", 0.1)
    assert "a.pdf:1: takes too long to read" in refusal(write(tmp_path, "a.pdf", "%PDF-1.4"))
    assert 0 < Pages.asked < 10**9
    monkeypatch.setattr(blocks, "MAX_TOTAL", 1000)
    assert "a.md:3: more than 1,000 characters" in refusal(write(tmp_path, "a.md", f"{'a' * 600}\n\n{'b' * 600}\n"))


@pytest.mark.parametrize("late", [False, True])
def test_an_encrypted_pdf_is_told_from_a_damaged_one(tmp_path, monkeypatch, late):
    """pypdf raises this error for AES without another package, at the start or at the first page."""

    class DependencyError(Exception):
        """A stand-in of pypdf's error."""

    class Reader:
        """A stand-in of pypdf's reader."""

        is_encrypted = False

        def __init__(self, _):
            self.pages = [self]
            if not late:
                self.extract_text()

        def extract_text(self, **_):
            raise DependencyError("cryptography>=3.1 is required for AES algorithm")

    monkeypatch.setitem(sys.modules, "pypdf", SimpleNamespace(PdfReader=Reader))
    said = refusal(write(tmp_path, "a.pdf", "%PDF-1.7\n"))
    assert "a.pdf:1: encrypted: save it without a password" in said


PAGE_BYTES = b"<!-- saved --><!DOCTYPE html><title>T</title><p>text"
OFFICE = {"[Content_Types].xml": "<Types/>"}
DISGUISED = {
    "a PDF file, not a {} file: name it .pdf": b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n",
    "an RTF file, not a {} file: open it in a word processor": rb"{\rtf1\ansi The code is 4711.\par}",
    "a picture, not a {} file: give the text in it": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "a gzip file, not a {} file: name it .gz": gzip.compress(b"text"),
    "an old Office file, or one with a password, not a {} file": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0",
    "a Word file, not a {} file: name it .docx": packed({**OFFICE, "word/document.xml": "<d/>"}),
    "a spreadsheet, not a {} file: save the sheet as .csv": packed({**OFFICE, "xl/workbook.xml": "<d/>"}),
    "a book, not a {} file: name it .epub": packed({"mimetype": "x", "META-INF/container.xml": "<d/>"}),
    "a .zip archive, not a {} file: name it .zip": packed({"a.md": "x"}),
}


@pytest.mark.parametrize("suffix", [".txt", ".html", ".md", ".py", ".eml", ".jsonl", ".csv", ".pdf", ".docx"])
@pytest.mark.parametrize("told", [*DISGUISED, "an HTML page, not a {} file: name it .html"])
def test_a_file_under_another_name_is_told_what_it_is(tmp_path, suffix, told):
    path = write(tmp_path, f"a{suffix}", DISGUISED.get(told, PAGE_BYTES))
    own = {
        ".html": "an HTML",
        ".md": "an HTML",
        ".py": "an HTML",
        ".pdf": "a PDF",
        ".docx": ("a Word", "a .zip", "an old"),
    }
    if told.startswith(own.get(suffix, "-")):
        return
    assert f"{path}:1: this is {told.format(suffix)}" in refusal(path)


@pytest.mark.parametrize("text", ["%PDF is a format", "GIF89a is one too", "PK", "{a}", "<b>x</b>", "BZh9", "RIFF"])
def test_a_text_about_formats_is_a_text(tmp_path, text):
    assert texts(read(tmp_path, "a.txt", text)[0]) == [text]


def test_pdf_without_the_extra_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdf", None)
    assert "a.pdf:1: reading PDF needs pypdf: pip install pypdf" in refusal(write(tmp_path, "a.pdf", "%PDF-1.4"))


def test_archives_give_their_documents_and_name_the_rest(tmp_path):
    parts = {"b/a.md": "# T\n\ntext", "c.docx": docx(paragraph("word")), ".git/x.md": "no", "d.png": b"\x89PNG",
             "e.zip": packed({"a.txt": "no"}), "rows.jsonl": "{}"}  # fmt: skip
    for name, content in (("a.zip", packed(parts)), ("a.tar.gz", gzip.compress(tar({k: v if isinstance(v, bytes)
                          else v.encode() for k, v in parts.items()})))):  # fmt: skip
        notes = []
        found = read(tmp_path, name, content, notes)
        assert [document.subject for document in found] == ["b/a.md", "c.docx"]
        assert "1 hidden files, 2 files of other kinds, 1 archives within the archive" in "".join(notes)
    (document,) = read(tmp_path, "report.html.gz", gzip.compress(b"<p>text</p>"))
    assert (document.subject, texts(document)) == ("report.html", ["text"])
    (document,) = read(tmp_path, "plain.gz", gzip.compress(b"text"))
    assert texts(document) == ["text"]


def test_a_folder_of_documents_is_read_with_a_subject_per_file(tmp_path):
    outside = write(tmp_path, "outside/secret.md", "not yours")
    folder = tmp_path / "repository"
    for name, content in {"README.md": "# Read me", "src/a.py": "x = 1", "src/b.txt": "one\n\ntwo", "src/empty.py": "",
                          ".git/config.txt": "no", "node_modules/x.js": "no", "package.json": "{}", "img.png": b"\0",
                          "bin.c": b"\0\1\2"}.items():  # fmt: skip
        write(folder, name, content)
    (folder / "link.md").symlink_to(outside)
    (folder / "linked").symlink_to(outside.parent)
    rows = reading.read_examples(folder)
    assert [(row.subject, row.answer) for row in rows] == [
        ("README.md", "Read me"), ("src/a.py", "x = 1"), (None, "one"), (None, "two")
    ]  # fmt: skip
    told = "\n".join(rows.notes)
    assert "2 links" in told and "1 empty files" in told and "1 binary files" in told and "secret" not in told
    write(tmp_path, "rows/README.md", "not data")
    write(tmp_path, "rows/data.jsonl", '{"text": "row"}')
    assert [row.answer for row in reading.read_examples(tmp_path / "rows")] == ["row"]
    (tmp_path / "none").mkdir()
    assert "no .jsonl" in refusal(tmp_path / "none")


def test_documents_are_read_wherever_rows_are(tmp_path):
    path = write(tmp_path, "a.docx", docx(paragraph("Life", "Heading1") + paragraph("She was born in Oslo.")))
    (row,) = reading.read_examples(path)
    assert (row.answer, row.prompt, row.subject) == ("Life\n\nShe was born in Oslo.", None, "a.docx")
    assert uploads.checked_upload(path)[0].answer == row.answer
    assert ".docx" in reading.TYPES and "source code" in reading.TYPES and ".py" not in reading.TYPES.split()


# ---------------------------------------------------------------------------------------------------------------------
# Encodings


@pytest.mark.parametrize(
    ("name", "content", "text", "note"),
    [
        ("a.md", "\ufeffcafé".encode(), "café", None),
        ("a.md", "café".encode("utf-16"), "café", "read as UTF-16, as its byte order mark says"),
        ("a.txt", "café".encode("utf-16-be"), None, None),
        ("a.txt", b"\xfe\xff" + "café".encode("utf-16-be"), "café", "read as UTF-16"),
        ("a.txt", b"first\n\nin the caf\xe9", "first", "not UTF-8 (byte offset 17), so read as Windows-1252"),
        ("a.py", b"# caf\xe9 noir", "# café noir", "Windows-1252"),
        ("a.md", "привет, мир".encode("cp1251"), None, None),
        ("a.html", b"<meta charset=iso-8859-5><p>" + "привет".encode("iso-8859-5"), "привет", "ISO8859-5, as it says"),
        ("a.html", b"<meta charset='rot13'><p>x", None, None),
        ("a.html", b"<meta charset='zlib'><p>x", None, None),
        ("a.md", b"text\0text", None, None),
    ],
)
def test_declared_encodings_are_read_and_others_noted_or_refused(tmp_path, name, content, text, note):
    path = write(tmp_path, name, content)
    if text is None:
        assert re.search(rf"{name}:\d+: ", refusal(path)) and "UTF-8" in refusal(path)
        return
    rows = reading.read_examples(path)
    assert rows[0].answer == text
    assert note is None or note in "\n".join(rows.notes)


def test_a_mail_keeps_its_own_charset(tmp_path):
    head = b"Subject: =?iso-8859-1?q?caf=E9?=\nContent-Type: text/plain; charset={}\n\n"
    for charset in (b"iso-8859-1", b"unknown-8bit", b"utf-8", b'"'):
        (document,) = read(tmp_path, "a.eml", head.replace(b"{}", charset) + b"one caf\xe9 more")
        assert document.subject == "café" and texts(document)[-1] == "one café more"
