"""Live panels: one figure, its controls, and a new picture at each movement.

    panel = Panel(figure, update, {"t": slider("time t", 0, 1, 0.01, 0.3)}, alt="...")

The picture goes as a JPEG to a plain image widget. Nothing here knows diffusion, and nothing but
core ipywidgets is needed.
"""

import asyncio
import contextlib
import html
import numbers

import ipywidgets
import numpy as np
from PIL.PngImagePlugin import PngInfo

from course_utils._checks import require_known
from course_utils.widgets import figures
from course_utils.widgets.canvas import Canvas, encoded, jpeg
from course_utils.widgets.old_controls import WHOLE_ROW, Equaliser, choice

CSS_PIXELS_PER_INCH = 100
PIXEL_RATIO = 2  # picture pixels a CSS pixel: sharp on high-density screens
REST = 0.25  # seconds without movement after which a picture is sent at full sharpness
NO_PRESET = ""  # not None, which would leave the list blank


class Panel(ipywidgets.VBox):
    """A figure redrawn live as its controls move, with its numbers and words beside it.

    Artists that move have ``animated=True`` and are changed in place by ``update``; they are drawn
    over everything still, so a legend that must stay on top of them is ``animated`` too. Whatever
    else ``update`` changes (a title, limits, ticks, a new artist) is noticed, and the whole figure
    is drawn afresh, which takes several times as long: change it only when it has to change.

    While a control moves in the browser, one pixel a CSS pixel is sent, which takes a third of the
    delay away; the sharp picture follows at rest.

    Args:
        figure: of ``figures.new_figure``, 100 CSS pixels an inch; its dpi is set.
        update: called as ``update(**values)``; returns a dict of numbers and strings to show. It
            may move other controls (a lock, say) without starting a second redraw.
        controls: name -> any widget with a ``value``; an ``Equaliser`` gets a row of its own.
        alt: what there is to see, in words; stands below the picture and in its metadata.
        formats: result name -> template such as ``"loss {:.3g} nats"``, or None to hide it. Round
            here: strict nbval compares the text.
        presets: name -> dict of control values, offered in a drop-down list.
        start: name -> value of controls that shall start, and be reset to, elsewhere.

    Raises:
        ValueError: ``start`` or ``presets`` name no control, or a value that it cannot take.
        Exception: whatever the first ``update`` raises.
    """

    def __init__(self, figure, update, controls, *, alt, formats=None, presets=None, start=None):
        self.figure = figure
        self.controls = dict(controls)
        self.alt = " ".join(alt.split())
        self.formats = dict(formats or {})
        self.presets = {name: dict(values) for name, values in (presets or {}).items()}
        self.results = {}  # of the last update that succeeded
        self.error = None  # of the last update, if it failed
        self._update = update
        self._held = False  # movements are not followed while True
        self._drawn = None  # the values on show
        self._sharpening = None  # the call that will send the sharp picture
        self._moved = 0.0  # when the last coarse one was sent, on the loop's clock
        figure.set_dpi(CSS_PIXELS_PER_INCH * PIXEL_RATIO)
        self._canvas = Canvas(figure)
        self._assign(start or {})
        self._initial = self.values
        for preset in self.presets.values():  # that each fits
            self._assign(preset)
        self._assign(self._initial)
        super().__init__([self._steering(), self._shown()])
        self.redraw()
        for widget in self.controls.values():
            widget.observe(self._follow, "value")

    # What it holds

    @property
    def values(self):
        """The controls' values, by name."""
        return {name: widget.value for name, widget in self.controls.items()}

    def text(self):
        """Return the panel in words: what there is to see, then the last good results."""
        return "\n".join([self.alt, *_phrases(self.results, self.formats)])

    def _repr_mimebundle_(self, **options):
        """Return the live view, and the picture and words for where no kernel runs."""
        words = PngInfo()
        words.add_itxt("Description", self.text())
        data = super()._repr_mimebundle_(**options) | {
            "image/png": encoded(self.picture, "PNG", pnginfo=words),
            "text/plain": self.text(),
        }
        width, height = self.figure.get_size_inches() * CSS_PIXELS_PER_INCH
        return data, {"image/png": {"width": round(width), "height": round(height)}}

    # What moves it

    def set(self, **values):
        """Set several controls and redraw once.

        Raises:
            ValueError: no such control, or a value it cannot take (then none is changed).
            Exception: whatever ``update`` raises.
        """
        self._assign(values)
        if not self._held and self.values != self._drawn:
            self.redraw()

    def reset(self):
        """Put every control back to where it stood at first."""
        self.set(**self._initial)

    def redraw(self, moving=False):
        """Call ``update`` with the present values and show the new picture.

        An exception is shown in the panel, kept as ``error`` and raised again; the last good
        picture and results stay until an update succeeds. ``moving`` sends a coarse picture first.
        """
        values = self.values
        with self._holding(), figures.style():
            try:
                results = dict(self._update(**values) or {})
                phrases = _phrases(results, self.formats)
                picture = self._canvas.draw()
            except Exception as error:
                self.error, self._drawn = error, None
                self._show_error(error, values)
                raise
            self.error, self._drawn, self.results = None, values, results
            self.picture = picture  # the last good one, before encoding
            self._show_picture(moving)
            self._show_numbers(phrases)
            self._show_preset(values)

    def close(self):
        """Free the panel's widgets, its controls included."""
        if self._sharpening is not None:
            self._sharpening.cancel()
        for child in self.children:
            _close(child)
        self.layout.close()
        super().close()

    def _assign(self, values):
        """Set several controls without drawing; if one value does not fit, none is set."""
        for name in values:
            require_known("control", name, self.controls)
        before = self.values
        with self._holding():
            for name, value in values.items():
                value = tuple(value) if isinstance(value, list | np.ndarray) else value
                widget = self.controls[name]
                try:
                    if value is None:  # a list would take it for no choice
                        raise ValueError("choose a value")
                    widget.value = value
                    if widget.value != value:  # sliders clip and round silently
                        raise ValueError(f"the nearest it can be is {widget.value!r}")
                except Exception as error:  # widgets raise many kinds for what they cannot read
                    for changed, old in before.items():
                        self.controls[changed].value = old
                    raise ValueError(f"{name} cannot be {value!r:.80}: {error}") from error

    @contextlib.contextmanager
    def _holding(self):
        held, self._held = self._held, True
        try:
            yield
        finally:
            self._held = held

    def _follow(self, change):
        if not self._held and self.values != self._drawn:
            self.redraw(moving=True)

    def _choose_preset(self, change):
        if not self._held and change["new"] != NO_PRESET:
            self.set(**self.presets[change["new"]])

    # What it shows

    def _show_picture(self, moving):
        loop = None
        if moving:
            with contextlib.suppress(RuntimeError):  # a script: no loop runs that could sharpen
                loop = asyncio.get_running_loop()
        if loop is None:
            self._image.value = jpeg(self.picture)
            return
        self._image.value = jpeg(self.picture.reduce(PIXEL_RATIO))
        self._moved = loop.time()
        if self._sharpening is None:
            self._sharpening = loop.call_later(REST, self._sharpen, loop)

    def _sharpen(self, loop):
        """Send the sharp picture if nothing has moved for a while, else look again later."""
        rest = self._moved + REST - loop.time()
        if rest > 0.001:
            self._sharpening = loop.call_later(rest, self._sharpen, loop)
        else:
            self._sharpening = None
            self._image.value = jpeg(self.picture)

    def _show_numbers(self, phrases):
        spans = " · ".join(f"<span>{html.escape(phrase)}</span>" for phrase in phrases)
        style = "line-height: 1.5; font-variant-numeric: tabular-nums"
        self._numbers.value = f'<div role="status" aria-live="polite" style="{style}">{spans}</div>'
        self._trouble.value, self._trouble.layout.display = "", "none"

    def _show_error(self, error, values):
        at = ", ".join(f"{name} = {value}" for name, value in values.items())
        words = html.escape(f"{type(error).__name__}: {error} (at {at})")
        style = "color: #b3261e; line-height: 1.5; font-weight: bold"
        self._trouble.value = f'<div role="alert" style="{style}">{words}</div>'
        self._trouble.layout.display = None

    def _show_preset(self, values):
        """Let the list name the preset on show, or none."""
        fits = [name for name, preset in self.presets.items() if values | preset == values]
        if self._chooser.value not in fits:
            self._chooser.value = fits[0] if fits else NO_PRESET

    # How it is laid out

    def _wide(self, **more):
        """As wide as the picture, or as the window where that is narrower."""
        width = round(self.figure.get_figwidth() * CSS_PIXELS_PER_INCH)
        return ipywidgets.Layout(width=f"{width}px", max_width="100%", **more)

    def _shown(self):
        """Make the picture and what is written below it, in one box."""
        self._image = ipywidgets.Image(format="jpeg", layout=self._wide(height="auto"))
        self._numbers = ipywidgets.HTML(layout=self._wide())
        self._trouble = ipywidgets.HTML(layout=self._wide(display="none"))
        caption = f'<div style="line-height: 1.5">{html.escape(self.alt)}</div>'
        caption = ipywidgets.HTML(caption, layout=self._wide())
        return ipywidgets.VBox([self._trouble, self._image, self._numbers, caption])

    def _steering(self):
        """Put the controls, the list of presets and the reset button in one box.

        Rows of bars stand beside the other controls where there is room, else below them: the
        picture should be on the screen together with what moves it.
        """
        names = [("custom", NO_PRESET), *((name, name) for name in self.presets)]
        self._chooser = choice("preset", names)
        self._chooser.observe(self._choose_preset, "value")
        if not self.presets:
            self._chooser.layout.display = "none"
        reset = ipywidgets.Button(description="Reset", tooltip="Put every control back")
        reset.on_click(lambda button: self.reset())
        whole_row = ipywidgets.Layout(grid_area=WHOLE_ROW)
        buttons = ipywidgets.HBox([self._chooser, reset], layout=whole_row)
        bars = [w for w in self.controls.values() if isinstance(w, Equaliser)]
        others = [w for w in self.controls.values() if not isinstance(w, Equaliser)]
        column = 275 if bars else 340  # pixels: two columns beside bars; a label and a slider fit
        grid = ipywidgets.Layout(
            flex="1 1 320px",
            grid_template_columns=f"repeat(auto-fit, minmax(min({column}px, 100%), 1fr))",
            grid_gap="4px 12px",
            align_content="flex-start",
        )
        boxes = [ipywidgets.GridBox([*others, buttons], layout=grid), *bars]
        return ipywidgets.HBox(boxes, layout=self._wide(flex_flow="row wrap"))


def snapshot(panel, **values):
    """Return a panel's picture at these values of its controls, and close the panel."""
    try:
        panel.set(**values)
        return panel.picture
    finally:
        panel.close()


def _phrases(results, formats):
    """Return the results in words, rounded, without those whose format is None."""
    hidden = {name for name, template in formats.items() if template is None}
    return [_phrase(name, results[name], formats) for name in results if name not in hidden]


def _phrase(name, value, formats):
    if isinstance(value, bool | np.bool_):
        value, number = "yes" if value else "no", "{}"
    elif isinstance(value, str | numbers.Integral):
        number = "{}"
    elif isinstance(value, numbers.Real):
        number = "{:z.4g}"  # z: no "-0"
    else:
        raise ValueError(f"result {name!r} is {value!r:.80}: return a number or a string")
    return formats.get(name, f"{name.replace('_', ' ')} {number}").format(value)


def _close(widget):
    """Close a widget and all that it holds."""
    for child in getattr(widget, "children", ()):
        _close(child)
    for part in ("layout", "style"):
        if isinstance(getattr(widget, part, None), ipywidgets.Widget):
            getattr(widget, part).close()
    widget.close()
