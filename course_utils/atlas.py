"""What is trained today: objectives of public models and scripts, each with where it stands.

``ATLAS["sana"].objective()`` is an ``Objective`` like those of ``PUBLISHED``; ``objectives()`` are
both. An entry is a line of ``data/atlas.csv``: its source, and the arguments of ``from_script`` as
the source has them. What a source leaves to its reader, such as a resolution, is said in ``kind``.
"""

import csv
from dataclasses import replace
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from course_utils._checks import frozen
from course_utils.objectives import BETAS, PUBLISHED, Objective, from_script, from_words
from course_utils.schedules import Cosine, alpha_bar
from course_utils.weightings import made_monotone


class Trained(NamedTuple):
    """An objective of a public model or script: ``script`` are the arguments of ``from_script``."""

    name: str
    year: int
    kind: str  # what of it this is: a released configuration, a script's default, an option of it
    source: str
    script: dict

    def objective(self) -> Objective:
        """Return it as an ``Objective``, on the λ of data of standard deviation 1."""
        return from_script(**self.script, name=self.name)


def objectives():
    """Return all by key, the published first, on the λ of data of standard deviation 1.

    EDM, whose data have ½, is moved by 2 ln ½.
    """
    edm = from_script(density="lognormal", prediction="F", data_sd=0.5, name="EDM")
    raised = replace(edm, name=PUBLISHED["edm_monotonic"].name, transform=made_monotone)
    unit = {"edm": edm, "edm_monotonic": raised}
    return PUBLISHED | unit | {key: entry.objective() for key, entry in ATLAS.items()}


def zero_terminal(bars):
    """Return ᾱ moved and stretched so that it ends at 0, with its first value (Lin et al. 2023)."""
    a = np.sqrt(bars)
    return ((a - a[-1]) * a[0] / (a[0] - a[-1])) ** 2


def interpolated_cosine():
    """Return σ at 1000 even times of k-diffusion's "cosine-interpolated", for 256 pixels.

    λ(t) = (1 − t) λ_32(t) + t λ_256(t), where λ_d is a cosine schedule moved by 2 ln(d/256); its
    time runs from noise to data, from σ = 1000 to 0.001, for data of standard deviation ½.
    """
    t, ends = (np.arange(1000) + 0.5) / 1000, np.array([2e3, 2e-3])
    log_snr = 0
    for scale, share in ((32 / 256, 1 - t), (1, t)):
        first, last = np.arctan(scale * ends)
        log_snr += share * 2 * np.log(scale / np.tan(first + t * (last - first)))
    return np.sort(np.exp(-log_snr / 2) / 2)


def bell(sigma):
    """Return exp(−2 (σ − ½)²) − exp(−½)."""
    return np.exp(-2 * (sigma - 0.5) ** 2) - np.exp(-0.5)


def capped_inverse(snr):
    """Return 1/(1 + min(SNR, 5))."""
    return 1 / (1 + np.minimum(snr, 5))


_SD = alpha_bar(BETAS["scaled_linear"]())
_CASCADE = np.cos((0.008 + (np.arange(1000) + 0.5) / 1000) / 1.008 * np.pi / 2) ** 2
_CASCADE /= np.cos(0.008 / 1.008 * np.pi / 2) ** 2

# What scripts compute, by its name in the table; the page of the atlas shows the docstrings.
COMPUTED = {
    "cosine": Cosine(),
    "cosine_cut": frozen(_CASCADE[(_CASCADE > 1e-4) & (_CASCADE < 0.9999)]),
    "cosine_interpolated": frozen(interpolated_cosine()),
    "zero_terminal": frozen(zero_terminal(_SD)),
    "zero_terminal_shifted": frozen(zero_terminal(expit(logit(_SD) - np.log(3)))),  # SNR/3
    "bell": bell,
    "capped_inverse": capped_inverse,
}


def _read():
    """The entries in the order of the table, which says of each where it stands, and its script."""
    table = files("course_utils").joinpath("data/atlas.csv").read_text(encoding="utf-8")
    for key, name, year, kind, source, words in [*csv.reader(table.splitlines())][1:]:
        pairs = (part.split("=") for part in words.split())
        script = {k: COMPUTED[v] if v in COMPUTED else from_words(v) for k, v in pairs}
        yield key, Trained(name, int(year), kind, source, script)


ATLAS = dict(_read())
