"""The written pages in a real browser: phone and desktop, light and dark, without a network."""

from __future__ import annotations

import pytest
from browsing import FAINT
from run_folders import make_run

import analyze_results

LONG = "Ein_Name_ohne_Leerzeichen_der_nirgends_umbrochen_werden_kann_und_doch_passen_muss"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(report, comparison) of runs with long names, right-to-left letters, and hostile markup."""
    root = tmp_path_factory.mktemp("pages")
    people = ("مريم الزهراء", LONG, "<img src=https://example.org/x.png onerror=document.title='ran'>", "Yun Sato")
    first = make_run(root / LONG, "npo", attacks=True, people=people, resisting=3)
    others = [make_run(root / method, method) for method in ("knowledge_distillation", "idk")]
    return analyze_results.write_report(first), analyze_results.compare_runs([first, *others], root / "comparison")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_pages_fit_and_are_legible_without_a_network(browser, written, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for path in written:
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
        pictures = page.evaluate("[...document.images].map(image => [image.complete, image.naturalWidth])")
        assert pictures and all(complete and wide for complete, wide in pictures), "a figure is missing"
        assert page.evaluate(FAINT) == [], "text is too pale to read"
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, dark[4:-1].split(","))) < 200) == (scheme == "dark")
        assert page.title().startswith(("Unlearning report", "Comparison"))
    context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
