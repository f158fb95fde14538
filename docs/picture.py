"""The README's moving picture, filmed from the panel in a browser: ``make picture``."""

import io
import sys

import numpy as np
from panel_page import shown
from PIL import Image
from serving import chromium

from course_utils.panels import sum_of_elbos

# What the hand does: it goes to (λ, w) in so many frames, with the button down or up.
MOVES = [
    ((-2.0, 0.8), 6, False),
    ((-2.0, 0.08), 11, True),  # a dent in w: it is not monotone there
    ((-2.0, 0.08), 6, True),
    ((-2.0, 0.8), 8, True),
    ((4.0, 0.15), 5, False),
    ((4.0, 0.9), 9, True),
    ((4.0, 0.9), 6, True),
    ((4.0, 0.15), 8, True),
    ((-8.0, 0.5), 5, False),
]
HAND = """<svg id="hand" width="26" height="30" viewBox="0 0 26 30"
    style="position: fixed; left: 0; top: 0; z-index: 9; pointer-events: none">
    <path d="M1 1v21l5.5-5 3.6 8.6 4-1.7-3.5-8.3H18z" fill="#111" stroke="#fff" stroke-width="1.6"/>
</svg>"""
STYLE = """h1 { display: none } main { padding: 12px 16px }
    .won-numbers, details { visibility: hidden }"""


def frames(panel):
    """Move the hand; yield a picture after each step."""
    page = panel.page
    page.evaluate("hand => document.body.insertAdjacentHTML('beforeend', hand)", HAND)
    page.add_style_tag(content=STYLE)
    at = panel.place_of(*MOVES[-1][0])
    page.mouse.move(*at)
    page.wait_for_timeout(500)  # a line of what is under the hand appears
    end = page.locator(".won-headline").bounding_box()
    part = {"x": 0, "y": 0, "width": 1000, "height": end["y"] + end["height"] + 10}
    held = False
    for place, count, down in MOVES:
        start, end = at, panel.place_of(*place)
        if down != held:
            (page.mouse.down if down else page.mouse.up)()
            held = down
        for share in (1 - np.cos(np.linspace(0, np.pi, count + 1)[1:])) / 2:
            at = [a + share * (b - a) for a, b in zip(start, end, strict=True)]
            page.mouse.move(*at)
            page.evaluate(
                "([x, y]) => { hand.style.transform = `translate(${x - 1}px, ${y - 1}px)` }", at
            )
            page.wait_for_timeout(150)  # its axes and bars follow
            yield Image.open(io.BytesIO(page.screenshot(clip=part))).convert("RGB")


def main(path):
    """Write the animation to ``path`` as a WebP and print its size."""
    panel = sum_of_elbos.panel()
    with chromium() as context, shown(context, panel, panel.page()) as shown_panel:
        first, *rest = frames(shown_panel)
    first.save(path, save_all=True, append_images=rest, duration=100, loop=0, quality=42, method=6)
    print(f"{path}: {len(rest) + 1} frames")


if __name__ == "__main__":
    main(sys.argv[1])
