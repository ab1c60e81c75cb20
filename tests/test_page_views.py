"""Every view of the page in a real browser, with runs in every state: it fits a phone, is legible and accessible.

PICTURES=folder python -m pytest tests/test_page_views.py     # saves a picture of each view
"""

import os
import re
import time

import pytest
from browsing import (
    FAINT,
    FIELD,
    NAMELESS,
    PATIENCE,
    labelled,
    prepared,
    served,
    stand_in,
    views,
    visitor,
    wait_for_text,
)

TYPED = "Ada lives in Lund, by the sea."


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    pytest.importorskip("gradio")
    folder = tmp_path_factory.mktemp("views")
    with served(folder, stand_in(folder)) as room:
        prepared(room)
        yield room


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_every_view_fits_the_screen_and_is_legible_and_named(browser, room, width, scheme):
    with visitor(browser, f"{room['address']}?__theme={scheme}", width, 800) as page:
        button = page.locator("#unlearn-button").bounding_box()
        assert button["y"] + button["height"] <= 800, "the button is visible without scrolling"
        seen = []
        for view in views(page):
            if "PICTURES" in os.environ:
                page.screenshot(path=f"{os.environ['PICTURES']}/{view}-{width}-{scheme}.png", full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{view} scrolls sideways"
            assert page.evaluate(NAMELESS) == [], view
            assert page.evaluate(FAINT) == [], view
            seen.append(view)
    assert len(seen) == 15


def test_unsent_text_survives_a_reload_in_this_tab_only(browser, room):
    with visitor(browser, room["address"]) as page:
        labelled(page, FIELD).fill(TYPED)
        page.wait_for_function("typed => JSON.stringify({...sessionStorage}).includes(typed)", arg=TYPED)
        page.reload()
        page.wait_for_selector("#unlearn-button")
        page.wait_for_function("typed => document.querySelector('#what textarea').value === typed", arg=TYPED)
        assert TYPED not in page.evaluate("JSON.stringify({...localStorage})"), "it would outlive the tab"
        page.get_by_label("Only these exact words").check()
        page.wait_for_function("() => JSON.stringify({...sessionStorage}).includes('words')")
        page.reload()
        page.wait_for_selector("#unlearn-button")
        wait_for_text(page, "Only these exact words: ")  # the way that was chosen is back
        other = page.context.new_page()
        other.goto(room["address"])
        other.wait_for_selector("#unlearn-button")
        assert other.locator("#what textarea").input_value() == ""
        page.locator("#unlearn-button").click()
        page.locator("#status .badge", has_text=re.compile("Waiting|Running")).wait_for(timeout=PATIENCE)
        page.wait_for_function("typed => !JSON.stringify({...sessionStorage}).includes(typed)", arg=TYPED)


def test_the_first_render_is_quick(browser, room, capsys):
    """Prints the seconds until an uncached page shows its button: machines differ."""
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        with visitor(browser, room["address"]):
            taken.append(time.perf_counter() - began)
    with capsys.disabled():
        print(f" [first render {sorted(taken)[1]:.2f} s, median of {[round(one, 2) for one in taken]}] ", end="")
    assert min(taken) < PATIENCE / 2000
