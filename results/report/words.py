"""How reports write numbers, names and differences between answers."""

from __future__ import annotations

import difflib
import re

from models.scores import metric_table
from models.scores.metric_table import REPORTED, Metric
from results.report.runs import Run, finite

COMPARISON_DOCS, comparison_key = metric_table.COMPARISON_DOCS, metric_table.comparison_key
LABELS = {  # the verdict's words
    "FORGOTTEN": "in every test that ran, the model behaves as if it had never seen these rows",
    "SUPPRESSED": "the answers are gone, but attacks bring knowledge back",
    "OVER-FORGOTTEN": "the model lost more than the forget set",
    "INCOMPLETE": "the model still knows part of the forget set",
    "COLLAPSED": "the model lost its general ability",
    "UNCERTIFIED": "the run lacks the comparisons that a verdict needs",
}


def label(run: Run) -> str:
    """The verdict's word from evaluation.json, else UNCERTIFIED."""
    return str(run.comparison.get("verdict") or "UNCERTIFIED")


def doc(metric: str) -> Metric:
    """The row of a metric; an unknown metric gets a row with its name and no texts."""
    name = metric.replace("_", " ").replace("rouge l", "ROUGE-L")
    return REPORTED.get(metric) or Metric(metric, name, None, "", "higher", "", "", bounded=False, minor=True)


def metric_order(names) -> list[str]:
    """Known metrics in the order of the table, then unknown ones by name."""
    return [name for name in REPORTED if name in names] + sorted(set(names) - set(REPORTED))


def attack_label(attack: str, metric: str) -> str:
    """The label of an attack's number."""
    if leak := re.fullmatch(r"leak_at_(\d+)", metric):
        return f"leak in {leak[1]} sample" + "s" * (leak[1] != "1")
    from models.attacks.table import ATTACKS

    labels = ATTACKS[attack].labels if attack in ATTACKS else {}
    return labels.get(metric) or doc(metric).label


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: 0.123, 12.3, 1,234, 2.2e-16; an en dash for None."""
    value = finite(value)
    if value is None:
        return "–"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size and size < 0.5 * 10**-digits:
        return f"{value:.1e}"
    return f"{value:.{digits if size < 10 else min(1, digits)}f}"


def percent(value: float) -> str:
    """A share as whole percent, with one more digit near 0 and 1."""
    digits = 1 if 0 < abs(value) < 0.01 or 0.99 < value < 1 else 0
    return f"{100 * value:.{digits}f}\u00a0%"


def percent_beside(value: float, gate: float) -> str:
    """A share in percent with as many digits, up to three, as show on which side of the gate it is: 94.9 for .9486."""
    if round(100 * value) != round(100 * gate):
        return percent(value)
    digits = next((n for n in range(4) if value == gate or round(100 * value, n) != round(100 * gate, 6)), 3)
    return f"{100 * value:.{digits}f}\u00a0%"


def duration(seconds: float | None) -> str:
    """Seconds for people: 12.3 s, 4 min 05 s, 2 h 03 min; an en dash for None."""
    seconds = finite(seconds)
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


_WORDS = re.compile(r"\s+|[぀-ヿ㐀-鿿가-힯]|[^\s぀-ヿ㐀-鿿가-힯]+")


def word_difference(before: str, after: str) -> tuple[list, list]:
    """(before, after) as lists of ("" or "gone" or "new", text). The joined texts equal the inputs."""
    ours, theirs = _WORDS.findall(before), _WORDS.findall(after)
    left, right = [], []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        same = kind == "equal"
        if b > a:
            left.append(("" if same else "gone", "".join(ours[a:b])))
        if d > c:
            right.append(("" if same else "new", "".join(theirs[c:d])))
    return left, right
