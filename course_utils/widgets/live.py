"""Live panels: one figure, its controls, and a new picture at each movement.

The figure is kept. Its still parts are drawn once; at each movement that background is restored,
only the moving artists (``animated=True``) are drawn over it, and the picture goes as a JPEG to a
plain image widget. Nothing here knows diffusion, and nothing but core ipywidgets is needed.

    panel = Panel(figure, update, {"t": slider("time t", 0, 1, 0.01, 0.3)}, alt="...")
"""

import contextlib
import difflib
import html
import io
import numbers
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import ipywidgets
import numpy as np
import traitlets
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase, SubFigure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from course_utils._checks import finite, real_number
from course_utils.widgets.canvas import Still

CSS_PIXELS_PER_INCH = 100
REST = 0.25  # seconds without movement after which a picture is sent at full sharpness
WHOLE_LABEL = {"description_width": "initial"}  # a longer label takes room from its slider
NO_PRESET = ""  # not None, which would leave the list blank
# All columns of a CSS grid, as grid_area: an empty grid_area would undo a grid_column.
WHOLE_ROW = "auto / 1 / auto / -1"


class Panel:
    """A figure redrawn live as its controls move, with its numbers and words beside it.

    Artists that move have ``animated=True`` and are changed in place by ``update``; they are drawn
    over everything still, so a legend that must stay on top of them is ``animated`` too. Whatever
    else ``update`` changes (a title, limits, ticks, a new artist) is noticed, and the axes it is in
    are drawn afresh, which takes several times as long: change it only when it has to change.

    Args:
        figure: a matplotlib ``Figure`` (not pyplot's), 100 CSS pixels an inch; its dpi is set.
        update: called as ``update(**values)``; returns a dict of numbers and strings to show. It
            may move other controls (a lock, say) without starting a second redraw.
        controls: name -> any widget with a ``value``; an ``Equaliser`` gets a row of its own.
        alt: what there is to see, in words; stands below the picture and in its metadata.
        formats: result name -> template such as ``"loss {:.3g} nats"``, or None to hide it. Round
            here: strict nbval compares the text.
        presets: name -> dict of control values, offered in a drop-down list.
        start: name -> value of controls that shall start, and be reset to, elsewhere.
        layout: controls "above" the picture or "beside" it, where the window has room for both
            (320 CSS pixels more than the picture).
        pixel_ratio: picture pixels a CSS pixel; 2 is sharp on high-density screens. While a
            control moves, one pixel a CSS pixel is sent: encoding, sending and decoding four
            times fewer takes a third of the delay away. The sharp picture follows at rest.

    Raises:
        ValueError: an argument does not fit; anything that the first ``update`` raises is raised.
    """

    def __init__(
        self,
        figure: Figure,
        update: Callable[..., Mapping[str, Any] | None],
        controls: Mapping[str, ipywidgets.Widget],
        *,
        alt: str,
        formats: Mapping[str, str | None] | None = None,
        presets: Mapping[str, Mapping[str, Any]] | None = None,
        start: Mapping[str, Any] | None = None,
        layout: str = "above",
        pixel_ratio: float = 2,
    ):
        if not isinstance(figure, Figure):
            raise ValueError(f"figure is {figure!r}: pass a matplotlib.figure.Figure")
        if not controls:
            raise ValueError("no controls: pass a dict such as {'t': slider(...)}")
        for name, widget in controls.items():
            if not isinstance(widget, ipywidgets.Widget) or not widget.has_trait("value"):
                raise ValueError(f"control {name!r} is {widget!r}: pass a widget with a value")
        if not isinstance(alt, str) or not alt.strip():
            raise ValueError(f"alt is empty or no text ({alt!r:.40}): say what there is to see")
        if layout not in ("above", "beside"):
            raise ValueError(f"layout is {layout!r}: pass 'above' or 'beside'")
        self.figure = figure
        self.controls = dict(controls)
        self.alt = " ".join(alt.split())
        self.formats = dict(formats or {})
        self.presets = {name: dict(values) for name, values in (presets or {}).items()}
        self.results: dict[str, Any] = {}
        self.error: Exception | None = None
        self._update = update
        self._lock = threading.RLock()  # callbacks may come from several threads
        self._held = False  # movements are not followed while True
        self._drawn: dict[str, Any] | None = None  # the values on show
        self._coarsening = max(1, int(pixel_ratio))
        self._sharpener: threading.Timer | None = None
        self._still = Still(figure)
        self._assign(start or {})
        self._initial = self.values
        for values in self.presets.values():
            self._check(values)
        if not isinstance(figure.canvas, FigureCanvasAgg):
            FigureCanvasAgg(figure)
        figure.set_dpi(CSS_PIXELS_PER_INCH * pixel_ratio)
        self._build(layout)
        self.redraw()
        for widget in self.controls.values():
            widget.observe(self._follow, "value")

    # What the panel holds

    @property
    def values(self) -> dict[str, Any]:
        """The controls' values, by name."""
        return {name: widget.value for name, widget in self.controls.items()}

    @property
    def picture(self) -> Image.Image:
        """The last good picture, RGB, before encoding."""
        return self._picture.convert("RGB")

    def text(self) -> str:
        """Return the panel in words: what there is to see, then the last good results."""
        return "\n".join([self.alt, *self._phrases(self.results)])

    def image_bytes(self) -> bytes:
        """Return the JPEG on show."""
        return self._image.value

    def png(self) -> bytes:
        """Return the last good picture as a PNG that carries the words as its Description."""
        with self._lock:
            words = PngInfo()
            words.add_itxt("Description", self.text())
            return _encode(self.picture, "PNG", pnginfo=words)

    def frames(self, moves: Iterable[Mapping[str, Any]]) -> list[Image.Image]:
        """Return the picture after each ``set(**move)``; the controls are then put back."""
        with self._lock:
            before, pictures = self.values, []
            try:
                for move in moves:
                    self.set(**move)
                    pictures.append(self.picture)
            finally:
                self.set(**before)
            return pictures

    # What moves it

    def set(self, **values: Any) -> None:
        """Set several controls and redraw once.

        Raises:
            ValueError: no such control, or a value it cannot take (then none is changed);
                anything that ``update`` raises is raised.
        """
        with self._lock:
            self._assign(values)
            if not self._held and self.values != self._drawn:
                self.redraw()

    def reset(self) -> None:
        """Put every control back to where it stood at first."""
        self.set(**self._initial)

    def redraw(self) -> None:
        """Call ``update`` with the present values and show the new picture.

        An exception is shown in the panel, kept as ``error`` and raised again; the last good
        picture and results stay until an update succeeds.
        """
        self._redraw(moving=False)

    def _redraw(self, moving: bool) -> None:
        with self._lock, self._holding():
            values = self.values
            try:
                results = dict(self._update(**values) or {})
                phrases = self._phrases(results)
                picture = self._draw()
            except Exception as error:
                self.error, self._drawn = error, None
                self._show_error(error, values)
                raise
            self.error, self._drawn, self.results = None, values, results
            self._show(picture, phrases, moving)
            self._name_preset(values)

    def rebase(self) -> None:
        """Draw the whole figure afresh, still parts included, without calling ``update``.

        ``update`` need not ask for it; code elsewhere that changes something still does.
        """
        with self._lock:
            self._still.forget()
            self._show(self._draw(), self._phrases(self.results))

    def close(self) -> None:
        """Free the panel's widgets, its controls included."""
        for widget in self.controls.values():
            with contextlib.suppress(ValueError):  # already let go
                widget.unobserve(self._follow, "value")
        with self._lock:
            if self._sharpener is not None:
                self._sharpener.cancel()
            _close(self.widget)

    def _assign(self, values: Mapping[str, Any]) -> None:
        """Set several controls without drawing; if one value does not fit, none is set."""
        self._check(values)
        before = self.values
        with self._holding():
            for name, value in values.items():
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

    def _check(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.controls:
                near = difflib.get_close_matches(name, self.controls, n=1, cutoff=0)[0]
                known = ", ".join(self.controls)
                raise ValueError(f"no control {name!r}: did you mean {near!r}? There are: {known}")

    @contextlib.contextmanager
    def _holding(self) -> Iterator[None]:
        held, self._held = self._held, True
        try:
            yield
        finally:
            self._held = held

    def _follow(self, change: Any = None) -> None:
        with self._lock:
            # Of several threads that waited here the first draws the newest values for all.
            if not self._held and self.values != self._drawn:
                self._redraw(moving=True)

    def _choose_preset(self, change: Any) -> None:
        with self._lock:
            if not self._held and change["new"] != NO_PRESET:
                self.set(**self.presets[change["new"]])

    def _name_preset(self, values: Mapping[str, Any]) -> None:
        """Let the list name the preset on show, or none."""
        fits = [
            name
            for name, preset in self.presets.items()
            if all(values[key] == value for key, value in preset.items())
        ]
        if self._chooser.value not in fits:
            self._chooser.value = fits[0] if fits else NO_PRESET

    # How it is drawn and shown

    def _draw(self) -> Image.Image:
        canvas = self.figure.canvas
        self._still.restore()
        renderer = canvas.get_renderer()
        for artist in _moving(self.figure):
            artist.draw(renderer)
        size = int(renderer.width), int(renderer.height)
        # Pillow encodes RGBX as it is; turning it into RGB would cost 2.5 ms.
        pixels = canvas.buffer_rgba()
        return Image.frombuffer("RGBX", size, pixels, "raw", "RGBX", 0, 1).copy()

    def _show(self, picture: Image.Image, phrases: Sequence[str], moving: bool = False) -> None:
        self._picture = picture
        if self._sharpener is not None:
            self._sharpener.cancel()
        if moving and self._coarsening > 1 and self._sharpen_later(picture):
            self._send(picture.reduce(self._coarsening))
        else:
            self._send(picture)
        spans = " · ".join(f"<span>{html.escape(phrase)}</span>" for phrase in phrases)
        style = "line-height: 1.5; font-variant-numeric: tabular-nums"
        self._numbers.value = f'<div role="status" aria-live="polite" style="{style}">{spans}</div>'
        if self.error is None:
            self._trouble.value, self._trouble.layout.display = "", "none"

    def _send(self, picture: Image.Image) -> None:
        # The fastest PNG takes five times as long. Full chroma (4:4:4) keeps thin lines clean.
        self._image.value = _encode(picture, "JPEG", quality=85, subsampling=0)

    def _sharpen_later(self, picture: Image.Image) -> bool:
        """Send the sharp picture after a rest; False where there are no threads (Pyodide)."""
        self._sharpener = threading.Timer(REST, self._sharpen, [picture])
        self._sharpener.daemon = True
        try:
            self._sharpener.start()
        except RuntimeError:
            return False
        return True

    def _sharpen(self, picture: Image.Image) -> None:
        with self._lock:
            if picture is self._picture:  # no newer one came while this waited
                self._send(picture)

    def _show_error(self, error: Exception, values: Mapping[str, Any]) -> None:
        at = ", ".join(f"{name} = {value!r}" for name, value in values.items())
        at = re.sub(r"\d+\.\d{7,}", lambda number: f"{float(number[0]):.6g}", at)  # 0.30000000004
        words = html.escape(f"{type(error).__name__}: {error} (at {at})")
        style = "color: #b3261e; line-height: 1.5; font-weight: bold"
        self._trouble.value = f'<div role="alert" style="{style}">{words}</div>'
        self._trouble.layout.display = None

    def _phrases(self, results: Mapping[str, Any]) -> list[str]:
        hidden = {name for name, template in self.formats.items() if template is None}
        return [self._phrase(name, results[name]) for name in results if name not in hidden]

    def _phrase(self, name: str, value: Any) -> str:
        if isinstance(value, bool | np.bool_):
            value, number = "yes" if value else "no", "{}"
        elif isinstance(value, str | numbers.Integral):
            number = "{}"
        elif isinstance(value, numbers.Real):
            number = "{:z.4g}"  # z: no "-0"
        else:
            raise ValueError(f"result {name!r} is {value!r}: return a number or a string")
        return self.formats.get(name, f"{name.replace('_', ' ')} {number}").format(value)

    def _build(self, layout: str) -> None:
        width = round(self.figure.get_figwidth() * CSS_PIXELS_PER_INCH)
        of_picture = partial(ipywidgets.Layout, width=f"{width}px", max_width="100%")
        self._image = ipywidgets.Image(format="jpeg", layout=of_picture(height="auto"))
        self._numbers = ipywidgets.HTML(layout=of_picture())
        self._trouble = ipywidgets.HTML(layout=of_picture(display="none"))
        caption = f'<div style="line-height: 1.5">{html.escape(self.alt)}</div>'
        caption = ipywidgets.HTML(caption, layout=of_picture())
        self._chooser = choice(
            "preset", [("custom", NO_PRESET), *((name, name) for name in self.presets)]
        )
        self._chooser.observe(self._choose_preset, "value")
        reset = ipywidgets.Button(description="Reset", tooltip="Put every control back")
        reset.on_click(lambda button: self.reset())
        # Rows of bars stand beside the other controls where there is room, else below them: the
        # picture should be on the screen together with what moves it.
        bars = [w for w in self.controls.values() if isinstance(w, Equaliser)]
        others = [w for w in self.controls.values() if not isinstance(w, Equaliser)]
        if not self.presets:
            self._chooser.layout.display = "none"
        buttons = ipywidgets.HBox(
            [self._chooser, reset], layout=ipywidgets.Layout(grid_area=WHOLE_ROW)
        )
        column = 275 if bars else 340  # pixels: two columns beside bars; a label and a slider fit
        grid = ipywidgets.GridBox(
            [*others, buttons],
            layout=ipywidgets.Layout(
                flex="1 1 320px",
                grid_template_columns=f"repeat(auto-fit, minmax(min({column}px, 100%), 1fr))",
                grid_gap="4px 12px",
                align_content="flex-start",
            ),
        )
        steering = ipywidgets.HBox(
            [grid, *bars],
            layout=ipywidgets.Layout(
                width=f"{width}px" if layout == "above" else "320px",
                max_width="100%",
                flex_flow="row wrap",
            ),
        )
        shown = ipywidgets.VBox([self._trouble, self._image, self._numbers, caption])
        if layout == "above":
            self.widget = ipywidgets.VBox([steering, shown])
        else:
            row = ipywidgets.HBox([steering, shown], layout=ipywidgets.Layout(flex_flow="row wrap"))
            self.widget = ipywidgets.VBox([row])

    def _repr_mimebundle_(self, include=None, exclude=None):
        """Return the live view, and the picture and words for where no kernel runs."""
        with self._lock:
            self._still.prepare()
            data = self.widget._repr_mimebundle_()
            data |= {"image/png": self.png(), "text/plain": self.text()}
        width, height = self.figure.get_size_inches() * CSS_PIXELS_PER_INCH
        return data, {"image/png": {"width": round(width), "height": round(height)}}


class Equaliser(ipywidgets.VBox):
    """A row of vertical sliders with one ``value``, the tuple of theirs.

    Args:
        labels: one short label a slider.
        low, high, step: the range that all sliders share.
        value: where they start: one number for all, or one each.
        label: words above the row; ``unit`` follows them in brackets.
    """

    value = traitlets.Tuple()

    def __init__(self, labels, low, high, step, value, *, label="", unit=""):
        starts = finite("value", value)
        if starts.shape not in ((), (len(labels),)):
            raise ValueError(f"need one value, or one for each of {len(labels)} bars, got {value}")
        start = value if starts.ndim else [value] * len(labels)
        self.bars = [
            slider(str(words), low, high, step, at, orientation="vertical")
            for words, at in zip(labels, start, strict=True)
        ]
        self._held = False
        row = ipywidgets.HBox(self.bars, layout=ipywidgets.Layout(flex_flow="row wrap"))
        title = [ipywidgets.Label(_with_unit(label, unit))] if label else []
        layout = ipywidgets.Layout(grid_area=WHOLE_ROW)
        super().__init__([*title, row], value=tuple(bar.value for bar in self.bars), layout=layout)
        for bar in self.bars:
            bar.layout.flex, bar.layout.height = "1 1 0", "160px"
            bar.layout.min_width, bar.layout.max_width = "44px", "64px"
            bar.observe(self._gather, "value")
        self.observe(self._spread, "value")

    @traitlets.validate("value")
    def _fits(self, proposal):
        value = proposal["value"]
        low, high = self.bars[0].min, self.bars[0].max
        if len(value) != len(self.bars) or not all(low <= number <= high for number in value):
            raise ValueError(f"{value!r}: pass {len(self.bars)} numbers from {low} to {high}")
        return value

    def _gather(self, change):
        if not self._held:
            self.value = tuple(bar.value for bar in self.bars)

    def _spread(self, change):
        self._held = True  # the value is already complete: do not gather it half set
        try:
            for bar, number in zip(self.bars, change["new"], strict=True):
                bar.value = number
        finally:
            self._held = False


def snapshot(panel: Panel, **values: Any) -> Image.Image:
    """Return a panel's picture at these values of its controls, and close the panel."""
    try:
        panel.set(**values)
        return panel.picture
    finally:
        panel.close()


def slider(label, low, high, step, value, *, unit="", orientation="horizontal"):
    """Return a slider from ``low`` to ``high``, of integers where all four numbers are integers.

    Raises:
        ValueError: ``value`` is outside the range, or ``step`` is not positive.
    """
    for name, number in (("low", low), ("high", high), ("step", step), ("value", value)):
        if isinstance(number, bool) or not isinstance(number, numbers.Real):
            raise ValueError(f"{name} must be a number, got {number!r}")
        real_number(name, number)
    if not (low <= value <= high and step > 0):
        raise ValueError(f"value {value}, step {step}: needs {low} <= value <= {high} and step > 0")
    whole = all(isinstance(number, numbers.Integral) for number in (low, high, step, value))
    decimals = max(0, -Decimal(str(step)).normalize().as_tuple().exponent)
    return (ipywidgets.IntSlider if whole else ipywidgets.FloatSlider)(
        value=value,
        min=low,
        max=high,
        step=step,
        description=_with_unit(label, unit),
        readout_format="d" if whole else f".{decimals}f",
        orientation=orientation,
        continuous_update=True,
        style=WHOLE_LABEL,
        layout=ipywidgets.Layout(width="auto"),
    )


def choice(label, options, value=None, *, slide=False):
    """Return a drop-down list, or with ``slide`` a slider over the options, the first chosen.

    ``options`` is a list of values or of (label, value) pairs.
    """
    kind = ipywidgets.SelectionSlider if slide else ipywidgets.Dropdown
    chosen = {} if value is None else {"value": value}
    layout = ipywidgets.Layout(width="auto")
    try:
        return kind(options=options, description=label, style=WHOLE_LABEL, layout=layout, **chosen)
    except (traitlets.TraitError, TypeError, ValueError) as error:
        raise ValueError(f"options {options!r:.80} with value {value!r:.80}: {error}") from None


def switch(label, value=False):
    """Return a checkbox."""
    if not isinstance(value, bool):
        raise ValueError(f"a switch is True or False, got {value!r:.80}")
    layout = ipywidgets.Layout(width="auto")
    return ipywidgets.Checkbox(value=value, description=label, indent=False, layout=layout)


def equaliser(labels, low, high, step, value, *, label="", unit=""):
    """Return an ``Equaliser``."""
    return Equaliser(labels, low, high, step, value, label=label, unit=unit)


def _with_unit(label: str, unit: str) -> str:
    return f"{label} ({unit})" if unit else label


def _moving(owner: FigureBase | Axes) -> Iterator[Artist]:
    """Yield the animated artists in the order in which matplotlib draws them."""
    for child in sorted(owner.get_children(), key=Artist.get_zorder):
        if child.get_animated():
            yield child
        elif isinstance(child, Axes | SubFigure) and child.get_visible():
            yield from _moving(child)


def _encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _close(widget: ipywidgets.Widget) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    for part in ("layout", "style"):
        if isinstance(getattr(widget, part, None), ipywidgets.Widget):
            getattr(widget, part).close()
    widget.close()
