"""The progress bar leaves nothing behind, whoever looks."""

import io
import sys
from types import SimpleNamespace

from course_utils.classroom.progress import progress


def test_progress_is_silent_where_nobody_looks_and_one_line_on_a_terminal(monkeypatch, capsys):
    assert list(progress(range(5), 5, "training")) == list(range(5))
    assert capsys.readouterr() == ("", "")
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(progress(range(3), 3, None)) == [0, 1, 2] and terminal.getvalue() == ""
    list(progress(range(4), 4, "training"))
    assert terminal.getvalue().split("\r")[-1] == f"training {'█' * 30} 4/4\n"


def test_progress_in_a_notebook_shows_one_widget_and_writes_nothing(monkeypatch, capsys):
    import IPython
    import ipywidgets

    bars, shown, real = [], [], ipywidgets.IntProgress
    monkeypatch.setattr(
        ipywidgets, "IntProgress", lambda *a, **k: bars.append(real(*a, **k)) or bars[-1]
    )
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    handle = SimpleNamespace(update=lambda data, raw: shown.append(data))
    monkeypatch.setattr(
        IPython.display, "display", lambda data, raw, display_id: shown.append(data) or handle
    )
    assert list(progress(range(4), 4, "training")) == [0, 1, 2, 3]
    [data, *_, left], [widget] = shown, bars
    assert left == {"text/plain": data["text/plain"]}  # a file without a kernel has words alone
    assert data["text/plain"] == "training: a progress bar of 4 steps"
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    assert widget.value == widget.max == 4
    assert capsys.readouterr() == ("", "")
