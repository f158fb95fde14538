"""The web page as built, in Chromium: every page, on a phone and a laptop, light and dark."""

import gzip
import re
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from moving import PANELS
from panel_page import PanelOnPage, pull
from serving import barriers, errors_of

pytestmark = pytest.mark.browser
READY = """async () => {
    await window.MathJax?.startup?.promise;
    for (const picture of document.images) picture.loading = "eager";
    await Promise.all([...document.images].map(picture => picture.decode().catch(() => {})));
}"""
FAULTS = Path(__file__).with_name("faults.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def paths(site):
    """Every page of the site, by its path."""
    found = [path.relative_to(site) for path in sorted(site.rglob("*.html"))]
    return [p for p in found if p.parts[0] not in ("_static", "lite", "deck.html")]


@pytest.fixture
def phone(page):
    page.set_viewport_size({"width": 390, "height": 844})
    return page


def faults(page, address):
    page.goto(address)
    page.evaluate(READY)
    return page.evaluate(FAULTS)


def test_every_page_on_a_phone(site, paths, serve, phone):
    errors, address = errors_of(phone), serve(site)
    assert len(paths) > 35
    found = {str(path): faults(phone, f"{address}{path}") for path in paths}
    assert {path: wrong for path, wrong in found.items() if wrong} == {}
    assert errors == []


def test_faults_of_a_page_are_seen(serve, phone, tmp_path):
    dot = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"></svg>'
    (tmp_path / "dot.svg").write_text(dot)
    whole = '<!doctype html><meta charset="utf-8"><p><code>$x$</code><img src="dot.svg" alt="dot">'
    (tmp_path / "whole.html").write_text(whole)
    broken = {
        "scrolls sideways": '<p style="width: 600px">wide</p>',
        "formula": "<mjx-merror title='Undefined control sequence'></mjx-merror>",
        "unset": '<span class="math">x</span>',
        "no picture": '<img src="none.png" alt="a curve">',
        "no words": '<img src="dot.svg">',
        "out of shape": '<img src="dot.svg" alt="a dot" width="300" height="20">',
        "markup left": "<p>so $x$ is</p>",
    }
    (tmp_path / "broken.html").write_text(whole + "".join(broken.values()))
    address = serve(tmp_path)
    assert faults(phone, address + "whole.html") == []
    assert [words.split(":")[0] for words in faults(phone, address + "broken.html")] == [*broken]


ELSEWHERE = """field => {
    if (field.options) field.selectedIndex = (field.selectedIndex + 1) % field.length;
    else field.value = field.value === field.max ? field.min : field.max;
    for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind));
}"""


def test_every_panel_moves_in_its_page(site, paths, serve, phone):
    """The first control of each panel changes what is on show, and the still has gone."""
    errors, address, moved = errors_of(phone), serve(site), 0
    for path in [path for path in paths if path.parts[0] == "notebooks"]:
        phone.goto(f"{address}{path}")
        for holder in phone.locator("div.panel").all():
            holder.scroll_into_view_if_needed()
            panel = PanelOnPage(holder).ready()
            assert phone.locator("figure:visible img[src*=fig]").count() == 0
            seen = panel.picture(), panel.readout()
            panel.root.locator(".won-control:visible :is(select, [type=range])").first.evaluate(
                ELSEWHERE
            )
            panel.wait(lambda p=panel, s=seen: (p.picture(), p.readout()) != s, "a movement")
            moved += 1
    assert moved == sum(map(len, PANELS.values())) and errors == []


def test_the_first_screen_is_there_in_a_second_and_a_hand_moves_it(site, serve, page):
    """All that is fetched, packed as servers of pages do, and the time to the painted curve."""
    answers, errors, address = [], errors_of(page), serve(site)
    page.on("response", lambda answer: answers.append(answer))
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(address)
    page.wait_for_selector(".moves .won-picture canvas")
    page.wait_for_load_state("networkidle")
    sizes = {answer.url: len(gzip.compress(answer.body())) for answer in answers}
    assert len(sizes) > 8 and sum(sizes.values()) < 300_000, sizes
    for again in range(10):  # from a warm cache, once the other core lets it
        page.goto(f"{address}?{again}")
        page.wait_for_selector(".moves .won-picture canvas")
        if (time := page.evaluate("performance.now()")) < 1000:
            break
    assert time < 1000
    canvas = page.locator(".won-picture").bounding_box()
    assert canvas["y"] + canvas["height"] < 800, "the curve is below the first screen"
    before = page.locator(".won-readout").inner_text()
    x, y = canvas["x"] + 0.25 * canvas["width"], canvas["y"] + 0.5 * canvas["height"]
    pull(page, (x, y), (x, y - 40))
    assert page.locator(".won-readout").inner_text() != before
    assert "#w=" in page.url and errors == []


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_no_barrier_that_axe_finds(site, paths, serve, page, width, scheme):
    found, address = {}, serve(site)
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    for path in [str(path) for path in paths if path.parts[0] != "reference"]:
        page.goto(address + path)
        page.evaluate(READY)
        found[path] = barriers(page, '{exclude: [".highlight"]}')  # its colours are Pygments'
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


def test_the_search_finds_without_a_network(site, serve, phone):
    phone.goto(serve(site) + "search.html?q=monotone")
    phone.locator("ul.search li a").first.wait_for()
    titles = phone.locator("ul.search li a").all_inner_texts()
    assert any("sum of ELBOs" in title for title in titles), titles


def test_where_python_cannot_be_fetched_the_page_says_so(site, serve, phone):
    phone.route("https://cdn.jsdelivr.net/**", lambda route: route.abort())
    phone.goto(serve(site) + "notebooks/01_the_discrete_chain.html")
    phone.get_by_role("link", name="Run it in your browser").first.click()
    phone.get_by_role("status").get_by_text("cannot be reached").wait_for()
    assert "lite" not in phone.url


class Links:
    """The addresses in a page, what of them a browser fetches, and the places one can link to."""

    def __init__(self, text):
        def named(pattern):
            return [unescape(found) for found in re.findall(pattern + r'="([^"]+)"', text)]

        self.addresses, self.places = named(r"\s(?:href|src)"), named(r"\s(?:id|name)")
        self.fetched = named(r"<(?:script|link|img|iframe)\b[^>]*?\s(?:href|src)")


def test_every_link_leads_somewhere_and_nothing_is_fetched_from_afar(site, paths):
    pages = {site / path: Links((site / path).read_text(encoding="utf-8")) for path in paths}
    broken = []
    for path, page in pages.items():
        for address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                there = address not in page.fetched or parts.scheme == "data"
            else:
                target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                wanted = parse_qs(parts.query).get("path", [])
                place = unquote(parts.fragment)
                there = target.is_file() and all((site / "lite/files" / n).exists() for n in wanted)
                there &= not (place and target in pages and place not in pages[target].places)
            if not there:
                broken.append((str(path.relative_to(site)), address))
    assert broken == []
