"""A progress bar that leaves nothing behind: a widget in a notebook, a line on a terminal.

A notebook keeps only the words that take the widget's place when it is done, and what is no
terminal gets nothing, so that an executed notebook or a log is the same at every run.
"""

import sys
import time

INTERVAL = 0.1  # seconds between two redraws


def progress(iterable, total, label):
    """Yield from the iterable and show how many of ``total`` are done; a label of None is quiet."""
    show = _display(total, label) if label is not None else None
    drawn = 0.0
    for done, item in enumerate(iterable, 1):
        if show and (done == total or time.monotonic() - drawn > INTERVAL):
            show(done)
            drawn = time.monotonic()
        yield item


def _display(total, label):
    """A function of the number done that draws it; None where nobody would see it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if getattr(shell, "kernel", None) is not None:
        from ipywidgets import IntProgress

        bar = IntProgress(0, 0, total, description=label, style={"description_width": "initial"})
        words = {"text/plain": f"{label}: a progress bar of {total} steps"}
        bundle = bar._repr_mimebundle_() | words
        shown = ipython.display.display(bundle, raw=True, display_id=True)

        def move(done):
            bar.value = done
            if done == total:
                shown.update(words, raw=True)

        return move
    if not sys.stderr.isatty():
        return None

    def line(done):
        filled, end = round(30 * done / total), "\n" if done == total else ""
        text = f"\r{label} {'█' * filled}{'·' * (30 - filled)} {done}/{total}{end}"
        print(text, end="", file=sys.stderr, flush=True)

    return line
