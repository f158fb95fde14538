"""A panel on a page without a kernel, the instrument or a recording: shown, and where w is."""

import contextlib
import json

from panel_page import MODULE
from serving import errors_of

ADDRESS = "http://instrument.test/"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>The instrument</title>
<meta name="viewport" content="width=device-width"><body style="margin: 0; background: PAPER">
<main><h1 style="color: #767676">The instrument</h1><div id="place"></div></main>
<script id="page" type="application/json">TABLES</script>
<script type="module">
import { host, mount } from "./panels.js";
const page = JSON.parse(document.getElementById("page").textContent);
const place = document.getElementById("place");
window.view = page.states ? host(place, page) : mount(place, page, {}, { address: ADDRESSED });
window.seen = () => JSON.parse(JSON.stringify(view.values));
</script>"""


@contextlib.contextmanager
def shown(context, page_of, *, hash="", width=1000, paper="#ffffff", address=True):
    """Show what ``Panel.page`` or a recording holds; what the page reports as an error fails."""
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": 800})
    errors, asked = errors_of(page), []
    body = PAGE.replace("TABLES", json.dumps(page_of)).replace("PAPER", paper)
    body = body.replace("ADDRESSED", json.dumps(address))

    def answer(route):
        asked.append(route.request.url)
        if route.request.url.endswith("panels.js"):
            route.fulfill(path=MODULE, content_type="text/javascript")
        else:
            route.fulfill(body=body, content_type="text/html")

    page.route("**/*", answer)
    page.goto(ADDRESS + hash)
    page.wait_for_function("document.querySelector('.won-picture')?.picture?.plots[0].scales")
    yield page
    page.close()
    assert not errors, errors
    assert len(asked) <= 3, asked  # the page, the module, perhaps an icon


def place_of(page, level, weight):
    """Return where (λ, w) is on the page, in the plot that can be pulled."""
    return page.evaluate(
        """([level, weight]) => {
            const plot = view.picture.plots.find(p => p.plot.title.startsWith("pull"));
            const frame = view.picture.root.getBoundingClientRect();
            return [frame.left + plot.scales.x.to(level), frame.top + plot.scales.y.to(weight)];
        }""",
        [level, weight],
    )
