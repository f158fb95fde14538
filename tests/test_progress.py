"""The progress bar moves in a notebook and leaves words behind; elsewhere it is silent."""

import sys
from unittest.mock import MagicMock

import ipywidgets

from course_utils.classroom.progress import progress


def test_progress_moves_in_a_notebook_and_is_silent_elsewhere(monkeypatch, capsys):
    assert list(progress(range(5), 5, "training")) == list(range(5))
    assert capsys.readouterr() == ("", "")
    ipython, bar = MagicMock(), MagicMock(value=0)
    bar._repr_mimebundle_.return_value = {"a widget": 1}
    display = ipython.display.display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr(ipywidgets, "IntProgress", lambda *arguments, **options: bar)
    assert list(progress(range(3), 3, None)) == [0, 1, 2] and not display.called
    assert [bar.value for _ in progress(range(3), 3, "training")] == [1, 2, 3]
    words = {"text/plain": "training: a progress bar of 3 steps"}
    assert display.call_args.args == ({"a widget": 1} | words,)
    display.return_value.update.assert_called_once_with(words, raw=True)
