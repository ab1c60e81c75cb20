"""The formats of documents, and the reading of any of them.

To accept a new format, write read(source, notes) -> documents and add a row to `FORMATS`. The flags, the page's
uploads, archives and folders, the messages and the table of data/README.md follow from the row.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data import signatures
from data.columns import DataError
from data.documents import containers, mail, markup, office, plain
from data.documents.blocks import MAX_BYTES, Document, Flaw, Source, megabytes

CODE = (
    ".py", ".js", ".c", ".adoc", ".asm", ".bash", ".bat", ".cc", ".cfg", ".cjs", ".clj", ".cmake", ".cpp", ".cs",
    ".css", ".cxx", ".dart", ".el", ".erl", ".ex", ".exs", ".f90", ".f95", ".fish", ".fs", ".go", ".gradle",
    ".groovy", ".h", ".hh", ".hpp", ".hs", ".ini", ".ipy", ".java", ".jl", ".jsx", ".kt", ".kts", ".less", ".lisp",
    ".lua", ".m", ".mjs", ".ml", ".mli", ".mm", ".nim", ".org", ".php", ".pl", ".pm", ".proto", ".ps1", ".pyi",
    ".r", ".rb", ".rs", ".rst", ".s", ".scala", ".scss", ".sh", ".sol", ".sql", ".svelte", ".swift", ".tex", ".tf",
    ".toml", ".ts", ".tsx", ".vb", ".vue", ".yaml", ".yml", ".zig", ".zsh",
)  # fmt: skip


@dataclass(frozen=True)
class Format:
    """A format of documents, with all words about it."""

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Source, list[str]], Iterator[Document]]
    subject: str  # what has a subject of its own
    words: str  # what is read of it
    package: str = ""  # a package that is needed beside the standard library


def _packed(read) -> Callable[[Source, list[str]], Iterator[Document]]:
    """A reader of archives, whose inner files are read by their own formats."""
    return lambda source, notes: read(source, notes, readable, read_source)


# fmt: off
FORMATS = (
    Format("plain text", (".txt", ".text"), plain.read_text, "the file", "paragraphs, separated by blank lines"),
    Format("Markdown", (".md", ".markdown"), plain.read_markdown, "the file",
           "headings, paragraphs, list items, table rows, code"),
    Format("HTML", (".html", ".htm", ".xhtml"), markup.read_html, "the file",
           "text that a browser shows; no scripts, no menus"),
    Format("Word", (".docx", ".docm"), office.read_docx, "the file",
           "text, headings, table rows, headers, footers, notes, comments; no deleted text"),
    Format("PDF", (".pdf",), office.read_pdf, "the file", "the text of each page; no pictures of text", "pypdf"),
    Format("book", (".epub",), office.read_epub, "the chapter", "chapters in reading order"),
    Format("mail", (".eml",), mail.read_mail, "the mail", "subject, addresses, date and text; no attachments"),
    Format("mailbox", (".mbox", ".mbx"), mail.read_mailbox, "the mail", "the same of each mail"),
    Format("source code", CODE, plain.read_code, "the file", "pieces between blank lines, with their indentation"),
    Format("archive", (".zip",), _packed(containers.read_zip), "the inner file",
           "every document in it; no archive within it"),
    Format("packed file", (".gz", ".tgz", ".tar"), _packed(lambda *args: containers.read_tar(*args)
           if args[0].name.lower().endswith(".tar") else containers.read_gz(*args)), "the inner file",
           "a packed document, or every document of a .tar or .tar.gz"),
)
# fmt: on
BY_SUFFIX = {suffix: row for row in FORMATS for suffix in row.suffixes}
SUFFIXES = tuple(BY_SUFFIX)


def readable(name: str) -> bool:
    """Whether a file of this name has a format."""
    return Path(name).suffix.lower() in BY_SUFFIX


def read_source(source: Source, notes: list[str]) -> Iterator[Document]:
    """The documents of a file's bytes, each with a text. Raises Flaw."""
    suffix = Path(source.name).suffix.lower()
    row, found = BY_SUFFIX[suffix], False
    if not source.data.strip():
        raise Flaw(1, "no rows: the file is empty or blank")
    if wrong := signatures.disguised(io.BytesIO(source.data), suffix, suffix in CODE):
        raise Flaw(1, wrong)
    for document in row.read(source, notes):
        found = found or bool(document.blocks)
        if document.blocks:
            yield document
    if not found:
        hint = "; its pages may be pictures: give a version with text recognition (OCR)" if row.name == "PDF" else ""
        raise Flaw(1, f"no text in this {row.name} file{hint}")


def read_file(path: str | Path, notes: list[str], name: str | None = None) -> Iterator[Document]:
    """The documents of a file. Appends remarks to `notes`.

    name: the file's name within its folder, for subjects. Raises DataError that names the file and the line, paragraph,
    page, mail or entry, and says what to do.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        if len(data) > MAX_BYTES:
            raise Flaw(1, f"more than {megabytes(MAX_BYTES)}: divide the document")
        yield from read_source(Source(name or path.name, data), notes)
    except Flaw as flaw:
        raise DataError(f"{path}:{flaw.place}: {flaw}") from None
    except (RecursionError, MemoryError) as error:
        raise DataError(f"{path}:1: too deeply nested or too large to read ({type(error).__name__})") from None
