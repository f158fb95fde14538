"""The web page as built, in Chromium at a phone's width: every page, nothing left to chance."""

import html.parser
from urllib.parse import parse_qs, unquote, urlsplit

import nbformat
import pytest
from pages import ROOT
from serving import errors_of

pytestmark = [pytest.mark.full, pytest.mark.browser]
READY = """async () => {
    await window.MathJax?.startup?.promise;
    for (const picture of document.images) picture.loading = "eager";
    await Promise.all([...document.images].map(picture => picture.decode().catch(() => {})));
}"""
FAULTS = r"""() => {
    const page = document.scrollingElement, faults = [];
    if (page.scrollWidth > page.clientWidth)
        faults.push(`scrolls sideways: ${page.scrollWidth} > ${page.clientWidth}`);
    for (const error of document.querySelectorAll("mjx-merror, [data-mjx-error]"))
        faults.push("formula: " + (error.title || error.dataset.mjxError || error.textContent));
    for (const formula of document.querySelectorAll(".math"))
        if (!formula.querySelector("mjx-container")) faults.push("unset: " + formula.textContent);
    for (const picture of document.images) {
        if (!picture.naturalWidth) faults.push("no picture: " + picture.src);
        if (!picture.alt.trim()) faults.push("no words: " + picture.src);
        const shape = picture.clientWidth * picture.naturalHeight;
        if (Math.abs(shape / (picture.clientHeight * picture.naturalWidth) - 1) > 0.02)
            faults.push("out of shape: " + picture.src);
    }
    const text = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (text.nextNode()) {
        const inside = text.currentNode.parentElement;
        if (inside.closest("pre, code, script, style, mjx-container, .sig")) continue;
        const left = text.currentNode.data.match(/\$[^$]+\$|\\\(|\\\[|\\begin|\]\(|\*\*/);
        if (left) faults.push("markup left: " + text.currentNode.data.trim().slice(0, 80));
    }
    return faults;
}"""


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


def test_solutions_are_folded_and_open(site, serve, phone):
    path = ROOT / "notebooks/06_sum_of_elbos.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    solutions = [cell for cell in cells if "solution" in cell.metadata.get("tags", [])]
    phone.goto(serve(site) + "notebooks/06_sum_of_elbos.html")
    folded = phone.locator(".tag_solution details")
    assert folded.count() == len(solutions) > 2
    code = folded.first.locator("pre").first
    assert "def solution" in code.text_content() and not code.is_visible()
    summary = folded.first.locator("summary")
    assert summary.inner_text().strip() == "Show the solution"
    summary.click()
    assert code.is_visible()


def test_panels_are_pictures_with_the_way_to_where_they_move(site, serve, phone):
    cells = nbformat.read(ROOT / "notebooks/01_the_discrete_chain.ipynb", as_version=4).cells
    view = "application/vnd.jupyter.widget-view+json"
    live = [o for cell in cells for o in cell.get("outputs", []) if view in o.get("data", {})]
    phone.goto(serve(site) + "notebooks/01_the_discrete_chain.html")
    panels = phone.locator("figure:has(figcaption a)")
    assert panels.count() == len(live) > 0
    words = live[0].data["text/plain"]
    assert panels.first.locator("img").get_attribute("alt") == " ".join(words.split())
    caption = panels.first.locator("figcaption")
    assert words.splitlines()[1] in caption.inner_text()
    address = caption.locator("a").first.get_attribute("href")
    assert address == "../lite/notebooks/index.html?path=01_the_discrete_chain.ipynb"
    assert phone.locator(".jupyter-widgets, [data-mime-type*=widget]").count() == 0


class Links(html.parser.HTMLParser):
    """The addresses in a page, what of them a browser fetches, and the places one can link to."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.fetched, self.places = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        here = [given[name] for name in ("href", "src") if given.get(name)]
        self.addresses += here
        self.fetched += here if tag in ("script", "link", "img", "iframe") else []
        self.places |= {given[name] for name in ("id", "name") if given.get(name)}


def broken(site, paths):
    """The links inside the site that lead nowhere, and what comes from elsewhere: (page, link)."""
    pages = {site / path: Links((site / path).read_text(encoding="utf-8")) for path in paths}
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
                yield str(path.relative_to(site)), address


def test_every_link_leads_somewhere_and_nothing_is_fetched_from_afar(site, paths):
    assert list(broken(site, paths)) == []
