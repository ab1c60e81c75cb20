"""Writes a list of blocks as a self-contained HTML page and as Markdown, and escapes CSV and LaTeX tables.

A text is a str, or a list of str and (style, str). Styles: "b", "code", "small", "under" (small, on its own line),
"user" (with its own text direction), "gone", "new". Every string is escaped on writing.
"""

from __future__ import annotations

import base64
import html
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

Text = str | list


@dataclass
class Heading:
    text: Text
    level: int = 2


@dataclass
class Paragraph:
    text: Text
    note: bool = False  # small and grey


@dataclass
class Bullets:
    items: Sequence[Text]


@dataclass
class Code:
    text: str


@dataclass
class Table:
    """Cells are texts. The first `words` and the last `tail` columns hold words, the others numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Text]]
    words: int = 1
    caption: str = ""
    tail: int = 0

    def is_words(self, place: int) -> bool:
        return place < self.words or place >= len(self.columns) - self.tail


@dataclass
class Figure:
    """`stem`.png and .svg in `folder`."""

    folder: Path
    stem: str
    caption: str

    def data_url(self) -> str:
        data = (self.folder / f"{self.stem}.svg").read_bytes()
        return f"data:image/svg+xml;base64,{base64.b64encode(data).decode('ascii')}"


@dataclass
class Figures:
    figures: Sequence[Figure]


@dataclass
class Column:
    """One word of a verdict with its sentences."""

    title: str
    word: str
    tone: str  # as of `Verdict`
    lead: str
    items: Sequence[str]


@dataclass
class Verdict:
    """The result at the top of a page: the word, a sentence, tiles of numbers, and a column for each of its parts."""

    word: str
    sentence: str
    tone: str  # "good", "mixed", "bad", "open"
    tiles: Sequence[tuple[str, str, str]]  # (name, number, note below it)
    columns: Sequence[Column] = ()


@dataclass
class Answers:
    """A question and its answers in order: (who, text with "gone" and "new" marked)."""

    prompt: str
    subject: str
    note: str
    answers: Sequence[tuple[str, Text]]


@dataclass
class Details:
    """Folded away in HTML, open in Markdown."""

    summary: str
    blocks: list = field(default_factory=list)


# ---------------------------------------------------------------------------------------------------------------------
# HTML


def html_page(title: str, blocks: list) -> str:
    """A self-contained page without scripts, under a policy that blocks scripts and other hosts."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    pages.filters["kind"] = lambda block: type(block).__name__
    return pages.get_template("page.html").render(title=title, blocks=blocks)


def plain_text(text: Text) -> str:
    """A text without its styles."""
    return text if isinstance(text, str) else "".join(part if isinstance(part, str) else part[1] for part in text)


# ---------------------------------------------------------------------------------------------------------------------
# Markdown, CSV, LaTeX

_MARKDOWN = re.compile(r"([\\`*_\[\]|~$])")


def markdown_escape(text: str) -> str:
    """Text that Markdown shows literally: no markup, no HTML, one line."""
    text = _MARKDOWN.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))
    text = re.sub(r"^([#+\-=])", r"\\\1", text)
    return re.sub(r"^(\d+)(?=[.)](\s|$))", r"\1\\", text)


def markdown_text(text: Text) -> str:
    """A text as Markdown."""
    if isinstance(text, str):
        return markdown_escape(text)
    marks = {"b": "**", "gone": "~~", "new": "**", "code": "`"}
    parts = []
    for part in text:
        style, words = ("", part) if isinstance(part, str) else part
        mark = marks.get(style, "")
        inner = words.strip()
        if not inner:
            parts.append(" " if words else "")
            continue
        before, after = " " * (words[0].isspace()), " " * (words[-1].isspace())
        inner = inner.replace("`", "'") if style == "code" else markdown_escape(inner)
        parts.append(f"{before}{mark}{inner}{mark}{after}")
    return "".join(parts)


def _markdown_table(table: Table) -> str:
    sides = [":--" if table.is_words(place) else "--:" for place in range(len(table.columns))]
    rows = [[markdown_text(cell) for cell in row] for row in table.rows]
    lines = [" | ".join(map(markdown_escape, table.columns)), " | ".join(sides), *(" | ".join(row) for row in rows)]
    caption = f"*{markdown_escape(table.caption)}*\n\n" if table.caption else ""
    return caption + "\n".join(f"| {line} |" for line in lines)


def _markdown_verdict(block: Verdict) -> str:
    blocks: list = [Paragraph([("b", block.word), ": ", block.sentence])]
    blocks += [Table(("", "", ""), block.tiles, words=3)] if block.tiles else []
    for one in block.columns:
        blocks += [Heading(f"{one.title}: {one.word}"), Paragraph(one.lead)]
        blocks += [Bullets(one.items)] if one.items else []
    return "\n\n".join(map(markdown_block, blocks))


def _markdown_answers(block: Answers) -> str:
    about = ", ".join(markdown_escape(part) for part in (block.subject, block.note) if part)
    lines = [f'<p dir="auto"><b>{html.escape(block.prompt)}</b></p>', ""]
    lines += [f"*{about}*", ""] if about else []
    return "\n".join(lines + [f"- {who}: {markdown_text(text)}" for who, text in block.answers])


def markdown_block(block) -> str:
    """One block as Markdown; a figure links to its file."""
    if isinstance(block, Heading):
        return f"{'#' * block.level} {markdown_text(block.text)}"
    if isinstance(block, Paragraph):
        return markdown_text(block.text)
    if isinstance(block, Bullets):
        return "\n".join(f"- {markdown_text(item)}" for item in block.items)
    if isinstance(block, Code):
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", block.text)), default=0))
        return f"{fence}\n{block.text}\n{fence}"
    if isinstance(block, Figures):
        return "\n\n".join(
            f"![{markdown_escape(f.caption)}]({f.folder.name}/{f.stem}.png)\n\n*{markdown_escape(f.caption)}*"
            for f in block.figures
        )
    if isinstance(block, Details):
        return f"### {markdown_escape(block.summary)}\n\n" + "\n\n".join(map(markdown_block, block.blocks))
    return {Table: _markdown_table, Verdict: _markdown_verdict, Answers: _markdown_answers}[type(block)](block)


def markdown_page(blocks: list) -> str:
    """The blocks as one Markdown file."""
    return "\n\n".join(map(markdown_block, blocks)) + "\n"


def csv_cell(value):
    """A cell that no spreadsheet executes: numbers stay numbers, text like a formula gets an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        return value
    text = str(value)
    return f"'{text}" if text.lstrip()[:1] in ("=", "+", "-", "@") or text[:1] in ("\t", "\r", "\n") else text


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "–": "--", "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\to$", "|": r"\textbar{}", '"': "''",
}  # fmt: skip


def latex_escape(text: str) -> str:
    """Text that LaTeX prints literally."""
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))


def latex_table(columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str, first: Sequence = ()) -> str:
    """A table that needs no package; a line separates the rows `first` from the others."""
    head, *body = (" & ".join(map(latex_escape, row)) + r" \\" for row in (columns, *first, *rows))
    if first:
        body.insert(len(first), r"\hline")
    return "\n".join(
        [r"\begin{table}", r"\centering", r"\scriptsize", r"\setlength{\tabcolsep}{3pt}",
         rf"\caption{{{latex_escape(caption)}}}",
         rf"\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}", r"\hline", head, r"\hline", *body, r"\hline",
         r"\end{tabular}", r"\end{table}", ""]
    )  # fmt: skip


def write_text(path: Path, text: str) -> Path:
    """Replaces a whole file; a lone surrogate from damaged data becomes a question mark."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(text.encode("utf-8", "replace"))
    return temporary.replace(path)
