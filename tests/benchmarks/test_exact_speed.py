"""Exact quantities: time against error; the estimators of the loss, by quadrature; the notebooks.

Times belong to the machine and are printed; the table has their ratios.
"""

import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import psutil
import pytest
from jupyter_client import KernelManager
from scipy import integrate

from course_utils.datasets import galaxies
from course_utils.elbo import ErrorCurve, sum_of_elbos, weighted_loss
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import PUBLISHED
from course_utils.schedules import Cosine, LinearBeta, LinearLogSnr, alpha, sigma
from course_utils.variance import (
    ErrorMoments,
    adaptive_schedule,
    draw_variance,
    learn_schedule,
    least_variance,
)

pytestmark = pytest.mark.benchmark
ROOT = Path(__file__).parents[2]
GALAXIES = GaussianMixture.from_data(galaxies())
RANGE = {"log_snr_min": -10.0, "log_snr_max": 10.0}


def timed(function, repeats=5):
    """Return (the result, the processor times in seconds, [repeats])."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        seconds.append(time.process_time() - start)
    return result, np.array(seconds)


def test_time_of_the_curves_against_their_error(capsys, speed):
    """Both sides of S5 over fifteen weightings, from tables of more and more levels."""
    weightings = [objective.implied_weighting() for objective in PUBLISHED.values()]
    with capsys.disabled():
        print("\n\nlevels   the two tables, ms   largest residual of S5, of 15 weightings")
        for n in (41, 81, 121, 161, 241):
            levels = np.linspace(-10, 10, n)
            curve, seconds = timed(partial(tables, levels), 3)
            residual = max(
                abs(1 - sum_of_elbos(w, curve) / weighted_loss(w, curve)) for w in weightings
            )
            print(f"{n:6d}{1e3 * np.median(seconds):19.0f}{residual:24.1e}")
    levels = np.arange(2.0, 8.0)
    by_z, ours = timed(partial(tables, levels))
    by_x, theirs = timed(partial(point_by_point, levels[0]), 3)
    assert by_z.noise_error[0] == pytest.approx(by_x, rel=1e-7)
    speed(
        "e(λ) of the galaxies at one level, exact to 1e-7",
        "adaptive quadrature for each galaxy",
        theirs.min() / (ours / 6),
        f"{1e3 * np.median(ours) / 6:.1f} ms a level, path KL included",
        "times faster",
    )


def tables(levels):
    """The galaxies' exact e and L at these levels."""
    return ErrorCurve.from_mixtures(GALAXIES, log_snr=levels)


def point_by_point(level):
    """E‖ε − ε̂‖² by SciPy's adaptive quadrature over ε, one galaxy at a time."""

    def error(noise, x):
        z = np.array([[alpha(level) * x + sigma(level) * noise]])
        square = (noise - GALAXIES.eps(z, level)[0, 0]) ** 2
        return square * np.exp(-(noise**2) / 2) / np.sqrt(2 * np.pi)

    rule = {"epsabs": 1e-8, "epsrel": 1e-8, "limit": 200}
    return np.mean([integrate.quad(error, -9, 9, (x,), **rule)[0] for x in galaxies()[:, 0]])


def test_error_of_the_loss_per_evaluation(capsys, speed):
    """Standard errors at the same number of evaluations, w = 1, all by quadrature."""
    moments, one = ErrorMoments.from_mixtures(GALAXIES), np.ones_like
    learnt = []
    for seed in range(9):
        schedule = learn_schedule(one, GALAXIES.eps, galaxies(), np.random.default_rng(seed))
        learnt.append(draw_variance(one, moments, schedule))
    learnt = np.array(learnt)
    for name, schedule in (
        ("uniform t on the cosine schedule", Cosine(**RANGE)),
        ("uniform t on linear β", LinearBeta(**RANGE)),
        ("uniform λ", LinearLogSnr(**RANGE)),
    ):
        speed(
            "error of an estimated loss at equal evaluations, `learn_schedule`, galaxies",
            name,
            np.sqrt(draw_variance(one, moments, schedule) / learnt),
            "exact variances; 9 seeds, 20,000 draws to learn from",
            "times smaller",
            digits=3,
        )
    least = least_variance(one, moments)
    known = draw_variance(one, moments, adaptive_schedule(one, moments)) / least
    speed(
        "variance of one draw, `learn_schedule`, galaxies",
        "the least that any density of levels has",
        learnt / least,
        f"as above; p ∝ w E[e], known without error, has {known:.3f}",
        "times",
        digits=4,
    )


class Watched(threading.Thread):
    """The largest resident memory of a process and its children, in MB, until ``stop()``."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.process, self.peak, self.over = psutil.Process(pid), 0.0, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.05):
            try:
                family = [self.process, *self.process.children(recursive=True)]
                self.peak = max(self.peak, sum(p.memory_info().rss for p in family) / 1e6)
            except psutil.Error:
                pass

    def stop(self):
        self.over.set()
        self.join()
        return self.peak


def executed(notebook):
    """Return (seconds, peak MB) of a fresh kernel that executes the notebook."""
    manager = KernelManager(kernel_name="python3")
    client = nbclient.NotebookClient(notebook, km=manager, timeout=900)
    start = time.perf_counter()
    with client.setup_kernel(cwd=str(ROOT / "notebooks")):
        watch = Watched(manager.provisioner.process.pid)
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        seconds = time.perf_counter() - start
        return seconds, watch.stop()


def test_time_and_memory_of_each_notebook(capsys, speed):
    imports = "import numpy, scipy.stats, matplotlib.figure, ipywidgets"
    bare = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(imports)])
    base = [executed(bare) for _ in range(3)]
    seconds, memory = np.median(base, axis=0)
    rows = {}
    with capsys.disabled():
        print(f"\n\nnotebook {'s':>31}{'peak MB':>11}")
        print(f"{'imports alone':<32}{seconds:8.1f}{memory:11.0f}")
        for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
            rows[path.stem] = executed(nbformat.read(path, as_version=4))
            print(f"{path.stem:<32}{rows[path.stem][0]:8.1f}{rows[path.stem][1]:11.0f}", flush=True)
    for place, (what, unit, bare_one) in enumerate(
        [("time", "s", seconds), ("peak memory", "MB", memory)]
    ):
        values = {name: row[place] for name, row in rows.items()}
        most = max(values, key=values.get)
        speed(
            f"{what} of a notebook, executed from top to bottom",
            f"a kernel that imports NumPy, SciPy, matplotlib, widgets ({bare_one:.1f} {unit})",
            np.array(list(values.values())) / bare_one,
            f"{len(values)} notebooks; most: {most}, {values[most]:.0f} {unit}",
        )


def test_time_of_the_everyday_tests(capsys, speed):
    command = [*(sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile")]
    command += ["--nbval", "--nbval-current-env", "-p", "no:cacheprovider"]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    with capsys.disabled():
        print(f"\n\nmake test: {seconds:.0f} s: {done.stdout.strip().splitlines()[-1]}")
    assert done.returncode == 0
    speed("`make test`, everything", "its limit of five minutes", seconds / 300, f"{seconds:.0f} s")
