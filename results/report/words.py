"""How reports write numbers, names and differences between answers."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Callable, Sequence

from models.scores.metric_table import REPORTED, Metric
from models.verdict import numbers
from models.verdict.words import certified as verdict_certified
from models.verdict.words import verdict_words
from results.report.runs import Run, finite

COMPARISON_DOCS, comparison_key = numbers.COMPARISON_DOCS, numbers.comparison_key


def label(run: Run) -> str:
    """The verdict in a few words: the three words, or that there is none or only one of an earlier version."""
    if run.words:
        return ", ".join(run.words.values())
    told = run.comparison.get("verdict")
    if told is None or verdict_words(told):
        return "no verdict"
    return f"verdict of an earlier version: {told}"


def certified(run: Run) -> bool:
    """Whether the run's verdict can be signed, and the gates that say so are there."""
    return verdict_certified(run.words) and all(part.gates for part in run.evidence.values())


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
        return f"{value:,.{max(0, digits - 3)}f}"
    if size and size < 0.5 * 10**-digits:
        return f"{value:.1e}"
    return f"{value + 0.0:.{digits if size < 10 else max(min(1, digits), digits - 2)}f}"


SAME = 1e-9  # numbers that differ by less are equal


def _tell_apart(values: Sequence, write: Callable, digits: int) -> list[str]:
    """write(value, digits) of each value, with as many digits as give different numbers different texts."""
    known = [finite(value) for value in values]
    texts: list[str] = []
    for more in range(digits, 12):
        texts = [write(value, more) for value in known]
        pairs = itertools.combinations([pair for pair in zip(known, texts) if pair[0] is not None], 2)
        if all(_number_in(one[1]) != _number_in(two[1]) or abs(one[0] - two[0]) < SAME for one, two in pairs):
            break
    return texts


def _number_in(text: str) -> float:
    """The number that a reader sees: "1,000" and "1000.0" are the same."""
    return float(text.replace(",", "").removesuffix("\u00a0%"))


def apart(*values: float | None, digits: int = 3) -> list[str]:
    """`number` of each value, with as many more digits as show which of them differ: a value and its gate."""
    return _tell_apart(values, number, digits)


def percents(*values: float | None) -> list[str]:
    """Shares in percent, with as many digits as show which of them differ: 94.9 for .9486 beside 95."""

    def write(value, digits):
        if value is None:
            return "–"
        text = f"{round(100 * value, digits) + 0.0:.{digits}f}"
        return f"{text.rstrip('0').rstrip('.') if '.' in text else text}\u00a0%"

    return _tell_apart(values, write, 0)


def percent(value: float) -> str:
    """A share as whole percent, with more digits beside 0 and 1: 99.6 for .996."""
    return percents(value, 0.0, 1.0)[0]


def span(low: float | None, high: float | None, *beside: float | None, digits: int = 3) -> str:
    """An interval as [low, high], told apart from the numbers beside it; "" if there is none or it has no width."""
    low, high = finite(low), finite(high)
    if low is None or high is None or high - low < SAME:
        return ""
    first, last = apart(low, high, *beside, digits=digits)[:2]
    return f"[{first}, {last}]"


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
