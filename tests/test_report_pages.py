"""The written pages in a real browser: phone and desktop, light and dark, alone on a machine without a network."""

from __future__ import annotations

import shutil

import pytest
from run_folders import make_run

import analyze_results

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run", "--disable-quic"]  # fmt: skip
LONG = "Ein_Name_ohne_Leerzeichen_der_nirgends_umbrochen_werden_kann_und_doch_passen_muss"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(report, comparison) of runs with long names, letters from right to left, and text that would like to run."""
    root = tmp_path_factory.mktemp("pages")
    people = ("مريم الزهراء", LONG, "<img src=https://example.org/x.png onerror=document.title='ran'>", "Yun Sato")
    first = make_run(root / LONG, "npo", attacks=True, people=people, resisting=3)
    others = [make_run(root / method, method) for method in ("knowledge_distillation", "idk")]
    return analyze_results.write_report(first), analyze_results.compare_runs([first, *others], root / "comparison")


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine, so the pages are not looked at")
    api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


CONTRAST = """() => {
  const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const behind = node => { for (; node; node = node.parentElement) { const c = getComputedStyle(node).backgroundColor;
    if (!/, 0\\)$/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); let worst = [99, ''];
  while (walker.nextNode()) { const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.getClientRects().length) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05); if (ratio < worst[0]) worst = [ratio, walker.currentNode.textContent]; }
  return worst; }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_pages_fit_are_legible_and_ask_nobody(browser, written, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for path in written:
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
        pictures = page.evaluate("[...document.images].map(image => [image.complete, image.naturalWidth])")
        assert pictures and all(complete and wide for complete, wide in pictures), "a figure is missing"
        ratio, text = page.evaluate(CONTRAST)
        assert ratio >= 4.5, f"too pale to read: {text!r}"
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, dark[4:-1].split(","))) < 200) == (scheme == "dark")
        assert page.title().startswith(("Unlearning report", "Comparison"))
    context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
