"""The progress bar moves in a notebook and leaves words behind; elsewhere it is silent."""

import sys
from types import SimpleNamespace

import ipywidgets

from course_utils.classroom.progress import progress


def test_progress_moves_in_a_notebook_and_is_silent_elsewhere(monkeypatch, capsys):
    assert list(progress(range(5), 5, "training")) == list(range(5))
    assert capsys.readouterr() == ("", "")
    shown, bars = [], []

    def display(bundle, **options):
        shown.append(bundle)
        return SimpleNamespace(update=lambda words, raw: shown.append(words))

    class Bar(ipywidgets.IntProgress):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            bars.append(self)

    monkeypatch.setattr(ipywidgets, "IntProgress", Bar)
    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert list(progress(range(3), 3, None)) == [0, 1, 2] and not shown
    seen = [bars[0].value for _ in progress(range(3), 3, "training")]
    assert seen == [1, 2, 3] and len(shown) == 2 and "text/plain" in shown[0]
    assert shown[1] == {"text/plain": "training: a progress bar of 3 steps"}
