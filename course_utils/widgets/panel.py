"""Live panels: a scene, the controls that move it, and the numbers beside it.

    Panel(scene, compute, {"t": Slider("time t", 0, 1, 0.01, 0.3)}, "area {area:.2f}", …)

``compute(**values)`` returns two dicts: numbers to read, and arrays to draw. The browser draws
them (``panels.js``, shown by anywidget); where no kernel runs, a still and words stand for it.
Nothing here knows diffusion.
"""

import base64
import io
import re
from pathlib import Path

import anywidget
import traitlets
from PIL.PngImagePlugin import PngInfo

from course_utils._checks import require_known
from course_utils.widgets import figures, still
from course_utils.widgets.scene import Heat, packed

POWER = re.compile(r"([\d.]+)e([-+]\d+)")  # 4.5e-05
MINUS = re.compile(r"(?<!\d)-(?=\d)")  # of a negative number
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Panel(anywidget.AnyWidget):
    """A scene that is computed anew whenever a control moves, in the browser or by ``set``.

    Args:
        scene: what is drawn, a ``widgets.scene.Scene``.
        compute: called as ``compute(**values)``; returns (numbers, arrays), both by name. Numbers
            may be strings. The scene may use both, and the controls' values too.
        controls: name -> declaration of ``widgets.controls``.
        headline: a template of numbers by their names, written large.
        shown: names of at most four numbers in the table beside it; the rest are "details".
        formats: number's name -> template such as ``"loss {:.3g} nats"``; a number without one is
            not said. Round here: strict nbval compares the text.
        presets: name -> dict of control values, offered in a list.
        start: name -> value of controls that start, and are reset to, elsewhere.

    Raises ``ValueError`` for a control or value that there is not, and whatever ``compute`` raises.
    """

    _esm = Path(__file__).with_name("panels.js")
    spec = traitlets.Dict().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)
    fields = traitlets.Dict().tag(sync=True)
    error = traitlets.Any(None).tag(sync=True, to_json=lambda e, panel: _error_words(e, panel))
    answer = traitlets.List([None, 0]).tag(sync=True)

    def __init__(
        self, scene, compute, controls, headline, shown, formats, *, presets=None, start=None
    ):
        self.scene, self._compute = scene, compute
        self.controls, self.headline, self.shown, self.formats = controls, headline, shown, formats
        self.presets = {name: self.checked(values) for name, values in (presets or {}).items()}
        own = {name: control.value for name, control in self.controls.items()}
        self.start = own | self.checked(start or {})
        self.results, self.arrays = {}, {}  # of the last computation that succeeded
        self._showing = True  # no one has assigned values
        super().__init__(spec=self._spec())
        self.on_msg(self._asked)
        self._show(self.start)

    # What it holds

    @property
    def picture(self):
        """The present picture as a still, a PIL image of two pixels a CSS pixel."""
        return still.picture(self.scene, self.arrays)

    def text(self):
        """Return the panel in words: what there is to see, then the last good results."""
        return "\n".join([self.spec["alt"], *map("".join, self._phrases(self.results).values())])

    def _repr_mimebundle_(self, **options):
        """Return the live view, and the picture and words for where no kernel runs."""
        picture, buffer, words = self.picture, io.BytesIO(), PngInfo()
        words.add_itxt("Description", self.text())
        picture.save(buffer, "PNG", pnginfo=words)
        view = super()._repr_mimebundle_(**options)
        data = view[0] if isinstance(view, tuple) else view
        data |= {"image/png": buffer.getvalue(), "text/plain": self.text()}
        size = {"width": picture.width // 2, "height": picture.height // 2}
        return data, {"image/png": size}

    # What moves it

    def checked(self, values):
        """Return values by control's name as the controls hold them, or raise ``ValueError``."""
        found = {}
        for name, value in values.items():
            require_known("control", name, self.controls)
            try:
                found[name] = self.controls[name].check(value)
            except ValueError as error:
                raise ValueError(f"{name} cannot be {value!r:.80}: {error}") from error
        return found

    def set(self, **values):
        """Set several controls and compute once; where one of them is refused, none is changed."""
        new = self.values | self.checked(values)
        if new != self.values or self.error is not None:
            self._show(new)

    def reset(self):
        """Put every control back to where it stood at first."""
        self.set(**self.start)

    def _asked(self, _, message, buffers):
        """Answer the browser, which sends all values and the number of its question."""
        self._show(self.values | message["values"], [message["from"], message["n"]])

    @traitlets.observe("values")
    def _assigned(self, change):
        if not self._showing:
            self._show(change["new"])

    def _show(self, values, answer=None):
        """Compute at these values and send what is to be drawn, in one message.

        An exception is shown in the panel, kept as ``error`` and raised again; the last good
        picture and results stay until a computation succeeds.
        """
        self._showing = True
        try:
            with self.hold_sync():  # sent even if the computation fails
                self.answer = answer or self.answer
                self.values = self.checked(values)
                numbers, arrays = self._compute(**self.values)
                arrays = self.values | numbers | arrays
                frame = self.scene.frame(arrays) | {"readout": self._readout(numbers)}
                heats = [item.values for item in self.scene.items(Heat)]
                if any(arrays[name] is not self.arrays.get(name) for name in heats):
                    self.fields = self.scene.fields(arrays)
                self.results, self.arrays, self.frame, self.error = numbers, arrays, frame, None
        except Exception as error:
            self.error = error
            raise
        finally:
            self._showing = False

    # What it says

    def _spec(self):
        """Return all that the browser needs once."""
        spec, arrays, _ = self.scene.declared
        return spec | {
            "still": packed(arrays),
            "colours": figures.SCREEN,
            "controls": {name: control.spec() for name, control in self.controls.items()},
            "presets": self.presets,
            "start": self.start,
        }

    def _readout(self, results):
        """Return the results as the panel shows them: headline, numbers, details."""
        phrases = self._phrases(results)
        return {
            "headline": _read(self.headline.format(**results)),
            "numbers": [[p[0].rstrip(" =:"), p[1]] for p in map(phrases.get, self.shown) if p],
            "details": ["".join(p) for name, p in phrases.items() if name not in self.shown],
        }

    def _phrases(self, results):
        """The results in words, rounded: what stands before the number, and number with unit."""
        found = {}
        for name in filter(self.formats.get, results):
            before, brace, after = self.formats[name].partition("{")
            found[name] = before, _read((brace + after).format(results[name]))
        return found


def _read(words):
    """Words with their numbers as they are read: a true minus, 4.5·10⁻⁵ in the place of 4.5e-05."""
    words = POWER.sub(lambda m: f"{m[1]}·10{str(int(m[2])).translate(RAISED)}", words)
    return MINUS.sub("−", re.sub(r"(?<![\d.])1·10", "10", words))


def plainly(part):
    """The same with bytes as base64 text."""
    if isinstance(part, dict):
        return {name: plainly(value) for name, value in part.items()}
    return base64.b64encode(part).decode() if isinstance(part, bytes) else part


def _error_words(error, panel):
    if error is None:
        return None
    at = ", ".join(f"{name} = {value}" for name, value in panel.values.items())
    return f"{type(error).__name__}: {error} (at {at})"
