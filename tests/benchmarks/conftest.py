"""The record of measured speed, and functions timed in turns."""

import time

import numpy as np
import pytest


@pytest.fixture
def speed(record_property):
    """Note a ratio for the table."""

    def note(what, against, ratios, how, unit="times"):
        """``ratios``: of neighbouring runs, or one; the table has their median and quartiles."""
        quartiles = np.percentile(ratios, [25, 50, 75])
        low, middle, high = (f"{float(f'{x:.2g}'):g}" for x in quartiles)
        spread = f" ({low} – {high})" if low != high else ""
        record_property("speed", [what, against, f"{middle}{spread} {unit}", how])

    return note


@pytest.fixture
def in_turns(capsys):
    """Return seconds of processor time of several functions, each [repeats], run in turns."""

    def measure(title, work, repeats=11, number=1):
        """``work`` maps names to functions; each is run ``number`` times for one reading."""
        times = {name: [] for name in work}
        for function in work.values():
            function()
        for _ in range(repeats):
            for name, function in work.items():
                start = time.process_time()
                for _ in range(number):
                    function()
                times[name].append((time.process_time() - start) / number)
        times = {name: np.array(seconds) for name, seconds in times.items()}
        with capsys.disabled():
            print(f"\n{title}")
            for name, seconds in times.items():
                print(f"  {name:<44}{1e3 * np.median(seconds):12.4f} ms")
        return times

    return measure
