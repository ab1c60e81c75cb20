"""Lays a report out: one list of blocks, written as a self-contained HTML page and as Markdown, CSV and LaTeX tables.

A text is a str, or a list of str and (style, str): "b", "code", "small", "under" (small, on a line of its own), "user",
"gone", "new". Every string is escaped when it is written, whoever wrote it; "user" adds that its direction follows its
own letters.
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
    style: str = ""  # "" or "note"


@dataclass
class Bullets:
    items: Sequence[Text]


@dataclass
class Code:
    text: str


@dataclass
class Table:
    """Cells are texts; the first `words` columns and the last `tail` ones are words, the rest numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Text]]
    words: int = 1
    caption: str = ""
    tail: int = 0

    def is_words(self, place: int) -> bool:
        return place < self.words or place >= len(self.columns) - self.tail


@dataclass
class Figure:
    """`stem`.png and .svg in `folder`; `alt` says what is to be seen."""

    folder: Path
    stem: str
    caption: str


@dataclass
class Figures:
    figures: Sequence[Figure]


@dataclass
class Verdict:
    """The first thing a reader sees: the word, one sentence, tiles of numbers, and titled lists."""

    word: str
    sentence: str
    tone: str  # "good", "mixed", "bad", "open"
    tiles: Sequence[tuple[str, str, str]]  # (what, number, beside what)
    columns: Sequence[tuple[str, Sequence[str]]]


@dataclass
class Answers:
    """One question with the answers to it: (who, text with "gone" and "new" marked) in order."""

    prompt: str
    subject: str
    note: str
    answers: Sequence[tuple[str, Text]]


@dataclass
class Details:
    """Folded away until it is opened; open in Markdown."""

    summary: str
    blocks: list = field(default_factory=list)


# ---------------------------------------------------------------------------------------------------------------------
# HTML

_CSS = """
:root{color-scheme:light dark;--page:#fbfbfa;--card:#fff;--ink:#1d1f21;--soft:#5c6166;--line:#e3e4e2;--gone:#a33b00;
--gone-bg:#fdebdf;--new:#00527f;--new-bg:#e0f1fb;--good:#00694c;--mixed:#8a5a00;--bad:#a33b00;--open:#4a5157}
@media(prefers-color-scheme:dark){:root{--page:#15171a;--card:#1d2024;--ink:#e8e9ea;--soft:#a3a9af;--line:#34383d;
--gone:#ffb38a;--gone-bg:#46281a;--new:#9ad6fb;--new-bg:#153447;--good:#5fd0ac;--mixed:#f0be5a;--bad:#ffa478;
--open:#b9c0c7}}
*{box-sizing:border-box}html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",
"Liberation Sans",sans-serif;overflow-wrap:anywhere}
main{max-width:64rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.35rem;line-height:1.3;margin:.2rem 0 .2rem;font-weight:650}
h2{font-size:1.2rem;margin:3rem 0 .6rem;font-weight:650}h3{font-size:1rem;margin:1.8rem 0 .4rem;font-weight:650}
p{margin:.5rem 0;max-width:46rem}ul{padding-inline-start:1.2rem;margin:.5rem 0;max-width:46rem}li{margin:.3rem 0}
.note,.small,.under,figcaption,.caption{color:var(--soft);font-size:.86rem}
.small{white-space:nowrap;display:inline-block}.under{display:block}
.verdict{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1.1rem 1.2rem 1.2rem;
margin:1.1rem 0 0;
border-inline-start:5px solid var(--tone)}
.good{--tone:var(--good)}.mixed{--tone:var(--mixed)}.bad{--tone:var(--bad)}.open{--tone:var(--open)}
.word{color:var(--tone);font-weight:750;letter-spacing:.04em;font-size:1.15rem}
.verdict>p{font-size:1.05rem;margin:.15rem 0 .2rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(7.8rem,1fr));gap:0 1rem;margin:1rem 0 .3rem;
padding:0}
.tiles div{display:grid;grid-row:span 3;grid-template-rows:subgrid;padding:.3rem 0 .5rem}.tiles dd{display:contents}
.tiles dt{color:var(--soft);font-size:.83rem;line-height:1.35;align-self:end}
.tiles .n{font-size:1.3rem;font-weight:650;font-variant-numeric:tabular-nums;line-height:1.4;white-space:nowrap}
.tiles .by{color:var(--soft);font-size:.83rem;line-height:1.35}
.columns{display:grid;grid-template-columns:1fr;gap:0 2rem;margin-top:.9rem;border-top:1px solid var(--line)}
.columns h2{font-size:1rem;margin:1rem 0 .2rem}.columns ul{font-size:.95rem;line-height:1.5}
@media(min-width:52rem){main{padding:2.2rem 2rem 5rem}.columns{grid-template-columns:repeat(var(--n),1fr)}}
.table{margin:.9rem 0;background:var(--card);border:1px solid var(--line);border-radius:10px;overflow:hidden}
.caption{padding:.6rem .8rem;border-bottom:1px solid var(--line);max-width:none}.box{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums;overflow-wrap:normal}
th,td{padding:.45rem .8rem;text-align:end;border-bottom:1px solid var(--line);vertical-align:top;line-height:1.4;
white-space:nowrap}
tr:last-child td,tr:last-child th{border-bottom:0}thead th{font-weight:600;color:var(--soft);font-size:.83rem}
tbody th{font-weight:500}th.w,td.w{text-align:start;min-width:9rem;max-width:24rem}
tbody .w{white-space:normal;overflow-wrap:break-word}
@media(max-width:40rem){th:first-child{position:sticky;inset-inline-start:0;background:var(--card);max-width:7rem;
z-index:1}table{font-size:.82rem}th,td{padding:.4rem .35rem}th:first-child{padding-inline-start:.6rem}
th.w:first-child{min-width:5.5rem}td.w{min-width:12rem}td .small{display:block;font-size:.7rem}}
.many table{font-size:.8rem}.many th,.many td{padding:.4rem .42rem}.many thead th{white-space:normal;font-size:.76rem;
vertical-align:bottom}.many th.w,.many td.w{min-width:5.6rem}.more{display:none;padding:.3rem .8rem .5rem;
color:var(--soft);font-size:.8rem}@media(max-width:60rem){.many .more{display:block}}
@media(max-width:40rem){.more{display:block}}
.figures{display:grid;grid-template-columns:minmax(0,1fr);gap:1.1rem;margin:1rem 0;align-items:start}
figure{margin:0;background:#fff;border:1px solid var(--line);border-radius:10px;padding:.6rem .5rem .7rem}
figure img{display:block;width:100%;max-width:34rem;height:auto;margin:0 auto}figcaption{color:#5c6166;
padding:.5rem .2rem 0;line-height:1.45}
@media(min-width:52rem){.figures{grid-template-columns:repeat(2,minmax(0,1fr))}.figures figure:only-child{
grid-column:span 2}}
.answers{background:var(--card);border:1px solid var(--line);border-radius:10px;margin:.9rem 0;padding:.8rem 1rem}
.answers dl{display:grid;grid-template-columns:1fr;gap:.1rem .9rem;margin:.5rem 0 0}
.answers dt{color:var(--soft);font-size:.83rem;margin-top:.45rem}.answers dd{margin:0;white-space:pre-wrap}
.answers .q{font-weight:600;margin:0;max-width:none;white-space:pre-wrap}
@media(min-width:40rem){.answers dl{grid-template-columns:6.5rem 1fr}.answers dt{margin-top:.12rem}}
del{color:var(--gone);background:var(--gone-bg);text-decoration-thickness:1px;border-radius:3px}
ins{color:var(--new);background:var(--new-bg);text-decoration:underline;text-decoration-style:dotted;
text-underline-offset:3px;border-radius:3px}
code,pre{font:.86rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
pre{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.8rem 1rem;white-space:pre-wrap;
margin:.6rem 0}
details{margin:.8rem 0}summary{cursor:pointer;font-weight:600;padding:.35rem 0}
@media print{body{background:#fff}figure,.answers,.verdict{break-inside:avoid}}
"""
_TAGS = {"b": "strong", "code": "code", "gone": "del", "new": "ins", "user": "bdi"}


def html_text(text: Text) -> str:
    """A text as HTML; nothing in it can become a tag."""
    if isinstance(text, str):
        return html.escape(text)
    parts = []
    for part in text:
        style, words = ("", part) if isinstance(part, str) else part
        words = html.escape(words)
        if style in ("small", "under"):
            parts.append(f'<span class="{style}">{words}</span>')
        else:
            tag = _TAGS.get(style)
            parts.append(f"<{tag}>{words}</{tag}>" if tag else words)
    return "".join(parts)


def plain_text(text: Text) -> str:
    """A text without its styles."""
    return text if isinstance(text, str) else "".join(part if isinstance(part, str) else part[1] for part in text)


MANY = 8  # columns; a table of more is set small
FITS = 3  # columns that a phone shows; a table of more says there that it goes on


def _html_table(table: Table) -> str:
    side = [' class="w"' if table.is_words(place) else "" for place in range(len(table.columns))]
    head = "".join(f"<th{style} scope=col>{html.escape(name)}</th>" for style, name in zip(side, table.columns))
    body = []
    for row in table.rows:
        first, *others = row
        cells = "".join(f"<td{style}>{html_text(cell)}</td>" for style, cell in zip(side[1:], others))
        body.append(f"<tr><th{side[0]} scope=row dir=auto>{html_text(first)}</th>{cells}</tr>")
    caption = f'<div class="caption">{html.escape(table.caption)}</div>' if table.caption else ""
    inner = f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    many = len(table.columns) > MANY
    more = ""
    if len(table.columns) > FITS:
        more = '<div class="more">More columns to the right: swipe or scroll sideways.</div>'
    kind = "table many" if many else "table"
    return f'<div class="{kind}">{caption}<div class="box" tabindex="0"><table>{inner}</table></div>{more}</div>'


def _html_figure(figure: Figure) -> str:
    data = base64.b64encode((figure.folder / f"{figure.stem}.svg").read_bytes()).decode("ascii")
    caption = html.escape(figure.caption)
    image = f'<img src="data:image/svg+xml;base64,{data}" alt="{caption}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _html_verdict(block: Verdict) -> str:
    tiles = "".join(
        f'<div><dt>{html.escape(what)}</dt><dd><span class="n">{html.escape(value)}</span>'
        f'<span class="by">{html.escape(beside)}</span></dd></div>'
        for what, value, beside in block.tiles
    )
    columns = "".join(
        f"<section><h2>{html.escape(title)}</h2>{html_block(Bullets(items))}</section>"
        for title, items in block.columns
    )
    return (
        f'<div class="verdict {block.tone}"><span class="word">{html.escape(block.word)}</span>'
        f"<p>{html.escape(block.sentence)}</p>"
        + (f'<dl class="tiles">{tiles}</dl>' if tiles else "")
        + (f'<div class="columns" style="--n:{len(block.columns)}">{columns}</div>' if columns else "")
        + "</div>"
    )


def _html_answers(block: Answers) -> str:
    rows = "".join(
        f"<dt>{html.escape(who)}</dt><dd dir=auto>{html_text(text) or '&nbsp;'}</dd>" for who, text in block.answers
    )
    about = " · ".join(part for part in (f"<bdi>{html.escape(block.subject)}</bdi>" if block.subject else "",
                                         html.escape(block.note)) if part)  # fmt: skip
    return (
        f'<div class="answers"><p class="q" dir=auto>{html.escape(block.prompt)}</p><div class="note">{about}</div>'
        f"<dl>{rows}</dl></div>"
    )


def html_block(block) -> str:
    """One block as HTML."""
    if isinstance(block, Heading):
        return f"<h{block.level} dir=auto>{html_text(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return f"<p{' class=note' if block.style else ''} dir=auto>{html_text(block.text)}</p>"
    if isinstance(block, Bullets):
        return f"<ul>{''.join(f'<li dir=auto>{html_text(item)}</li>' for item in block.items)}</ul>"
    if isinstance(block, Code):
        return f"<pre dir=ltr>{html.escape(block.text)}</pre>"
    if isinstance(block, Figures):
        return f'<div class="figures">{"".join(map(_html_figure, block.figures))}</div>'
    if isinstance(block, Details):
        inner = "".join(map(html_block, block.blocks))
        return f"<details><summary>{html.escape(block.summary)}</summary>{inner}</details>"
    return {Table: _html_table, Verdict: _html_verdict, Answers: _html_answers}[type(block)](block)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def html_page(title: str, blocks: list) -> str:
    """A page that needs nothing else: no script, no other host, and a policy that would refuse both."""
    return _PAGE.format(title=html.escape(title), style=_CSS, body="\n".join(map(html_block, blocks)))


# ---------------------------------------------------------------------------------------------------------------------
# Markdown, CSV, LaTeX

_MARKDOWN = re.compile(r"([\\`*_\[\]|~$])")


def markdown_escape(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, one line."""
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
    lines = [f"**{markdown_escape(block.word)}**: {markdown_escape(block.sentence)}", ""]
    if block.tiles:
        rows = [(what, value, beside) for what, value, beside in block.tiles]
        lines += [_markdown_table(Table(("", "", ""), rows, words=3)), ""]
    for title, items in block.columns:
        lines += [f"## {markdown_escape(title)}", "", *(f"- {markdown_escape(item)}" for item in items), ""]
    return "\n".join(lines).rstrip()


def _markdown_answers(block: Answers) -> str:
    about = ", ".join(markdown_escape(part) for part in (block.subject, block.note) if part)
    lines = [f'<p dir="auto"><b>{html.escape(block.prompt)}</b></p>', ""]
    lines += [f"*{about}*", ""] if about else []
    return "\n".join(lines + [f"- {who}: {markdown_text(text)}" for who, text in block.answers])


def markdown_block(block) -> str:
    """One block as Markdown; figures by their files beside it."""
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
    """A cell that no spreadsheet runs: numbers stay numbers, words that look like a formula get an apostrophe."""
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
    """Text that LaTeX sets as it is."""
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))


def latex_table(columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str, first: Sequence = ()) -> str:
    """A tabular that needs no package; rows of `first` stand above a line of their own."""
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
    """Replaces a file whole; a lone surrogate from damaged data becomes a question mark."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(text.encode("utf-8", "replace"))
    return temporary.replace(path)
