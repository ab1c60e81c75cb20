"""E-mail addresses, phone numbers, accounts and patterns that a request names, and where a text holds them."""

import pytest
from test_finding import kinds, tiny_rows, verdict, write

from data.columns import DataError
from data.finding import patterns
from data.finding.contacts import contact_form
from data.finding.matching import match, split_subjects, subjects_of
from data.reading import located_rows

CONTACTS = [
    ("+47 22 33 44 55", "call 22334455", "yes"),
    ("+47 22 33 44 55", "0047-22.33.44.55 or tel:+4722334455", "yes"),
    ("+47 22 33 44 55", "٢٢٣٣٤٤٥٥", "yes"),
    ("+47 22 33 44 55", "+46 22 33 44 55", "no"),
    ("+47 22 33 44 55", "122334455 and 223344556", "no"),
    ("+47 22 33 44 55", "01 22 33 44 55", "doubt"),
    ("(022) 333-4455", "+41 22 333 44 55", "yes"),
    ("(022) 333-4455", "022.333.44.55, +41 (0)22 333 44 55", "yes"),
    ("+44 20 7946 0958", "(020) 7946-0958", "yes"),
    ("+1 (555) 010-9999", "1-555-010-9999", "yes"),
    ("+1 (555) 010-9999", "+44 555 010 9999", "no"),
    ("r.sol@glacier.no", "R.Sol@Glacier.NO, r.sol+maps@glacier.no", "yes"),
    ("r.sol@glacier.no", "r.sol [at] glacier [dot] no", "yes"),
    ("r.sol@glacier.no", "ar.sol@glacier.no and r.sol@glacier.no.com", "no"),
    ("@rsol", "thanks @rsol!", "yes"),
    ("@rsol", "https://github.com/rsol/maps", "yes"),
    ("@rsol", "@rsolbrekk", "no"),
    ("@rsol", "rsol wrote", "doubt"),
    ("github.com/rsol", "git@github.com:rsol/maps", "yes"),
    ("https://www.github.com/rsol", "see rsol.github.io", "yes"),
    ("github.com/rsol", "github.com/rsolberg", "no"),
    ("github.com/rsol", "@rsol", "doubt"),
    ("rsol/maps", "clone rsol/maps.git", "yes"),
    ("rsol/maps", "clone rsol/mapset", "no"),
    ("/glac(ier)?s?/i", "GLACIERS", "yes"),
    ("/glacier/", "GLACIER", "no"),
]


@pytest.mark.parametrize(("name", "text", "wanted"), CONTACTS)
def test_contacts_are_found_in_any_usual_writing(name, text, wanted):
    assert verdict(name, text) == wanted, kinds(name, text)


@pytest.mark.parametrize("broken", ["/(/", "/a*/", "//", "\u200b", "/a/x"])
def test_a_broken_subject_is_refused_in_words(broken):
    with pytest.raises(ValueError, match=r"expression|empty text|written|visible"):
        subjects_of(broken)


def test_a_pattern_that_takes_too_long_is_refused_with_its_row(tmp_path):
    rows = list(located_rows(write(tmp_path / "rows.jsonl", [{"text": "a" * 4000 + "b"}]), []))
    with pytest.raises(DataError, match=r"rows.jsonl:1: .* takes more than a second"):
        match(rows, subjects_of("/(a|aa)+c$/"))


@pytest.mark.parametrize(
    "huge",
    [
        "/(?:a{9999}){9999}/",
        "/(?:(?:(?:(?:(?:a|b?|c?){30}){30}){30}){30})z/",
        "/" + "(?:" * 4 + "ab" + "){,30}" * 4 + "/",
        "/x{20000,}/",
        "/(?:(?P<n>[a-z]{200}|)b{200})+?c{9999}/i",
        "/" + "ab?" * 400 + "/",
        "/" + "(" * 60 + "a" + ")" * 60 + "/",
        "/(?R)/",
        "/a(?:(?#[)b{9999}){9999}/",
        "/(?x)#[\n(?:a{9999}){9999}/",
    ],
)
def test_a_pattern_that_would_fill_the_memory_is_refused_before_it_is_compiled(huge, monkeypatch):
    monkeypatch.setattr(patterns.regex, "compile", lambda *_: pytest.fail("was compiled"))
    with pytest.raises(ValueError, match=r"write|give several"):
        contact_form(huge)


@pytest.mark.parametrize(
    "usual",
    [
        r"/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/i",
        r"/(?i:x)\p{Lu}{2,}[]{]+(?<=a)/",
        r"/(?:\d{4} ){3}\d{4}|\d{16}|\({99}/",
        r"/(?P<a>s{9})(?P=a)(?<b>x)[[:alpha:]]*?/",
    ],
)
def test_a_pattern_of_a_usual_size_is_taken(usual):
    assert contact_form(usual).patterns[0][0] == "pattern"


def test_a_pattern_that_takes_long_on_all_rows_together_is_refused(monkeypatch):
    monkeypatch.setattr(patterns, "ALL_SECONDS", 0.02)
    rows = tiny_rows(["a" * 24 + f"b{number}" for number in range(400)])
    with pytest.raises(DataError, match=r"rows.jsonl:\d+: .* more than a minute on all texts: write a simpler"):
        match(rows, subjects_of("/(a|aa)+c$/"))


def test_the_trial_on_an_empty_text_has_a_time_limit(monkeypatch):
    def slow(text, timeout=None):
        raise TimeoutError if timeout else AssertionError("no limit")

    monkeypatch.setattr(patterns.regex, "compile", lambda *_: type("Slow", (), {"fullmatch": staticmethod(slow)}))
    with pytest.raises(ValueError, match="takes more than a second"):
        contact_form("/x/")


def test_subjects_are_separated_by_semicolons_and_aliases_by_equal_signs():
    assert split_subjects("Solbrekk, Ragnvi; /a;b/ = @x\nAcme") == ["Solbrekk, Ragnvi", "/a;b/ = @x", "Acme"]
    (one,) = subjects_of(["Ragnvi Solbrekk = the glacier lady = /a = b/ = @rsol"])
    assert [form.given for form in one.forms] == ["Ragnvi Solbrekk", "the glacier lady", "/a = b/", "@rsol"]
    assert len(subjects_of(["Ada; ADA", "ada"])) == 1
