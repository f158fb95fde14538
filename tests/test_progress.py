"""The progress bar leaves nothing behind, whoever looks."""

import io
import sys

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
