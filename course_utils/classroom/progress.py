"""A progress bar that leaves nothing behind but words, so that a notebook is saved alike each time.

Where there is no notebook, nothing is shown.
"""

import sys


def progress(iterable, total, label):
    """Yield from the iterable and show how many of ``total`` are done; a label of None is quiet."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if label is None or getattr(shell, "kernel", None) is None:
        yield from iterable
        return
    from ipywidgets import IntProgress

    bar = IntProgress(0, 0, total, description=label, style={"description_width": "initial"})
    words = {"text/plain": f"{label}: a progress bar of {total} steps"}
    bundle = bar._repr_mimebundle_() | words
    shown = ipython.display.display(bundle, raw=True, display_id=True)
    for item in iterable:
        bar.value += 1
        yield item
    shown.update(words, raw=True)
