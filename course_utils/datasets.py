"""The course's data: the galaxies' velocities, shapes in the plane, handwritten digits.

Nothing is downloaded. The study also reads Fashion-MNIST, where it is installed. A new shape in the
plane is one entry of ``PLANAR``, a new set of images one of ``IMAGES``.
"""

import gzip
import os
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from numpy.typing import ArrayLike

from course_utils._checks import data_set, frozen, require_known
from course_utils.mixtures import GaussianMixture

# --- Galaxies -----------------------------------------------------------------------------------


@cache
def galaxy_velocities() -> Float[ndarray, "82"]:
    """Return the velocities of 82 galaxies of the Corona Borealis region in km/s, sorted.

    Sources: Postman, Huchra & Geller 1986; Roeder 1990, who took the 82 for density estimation. The
    78th reads 26960, as measured, where some copies of the table have 26690.
    """
    text = files("course_utils").joinpath("data/galaxies.csv").read_text(encoding="utf-8")
    return frozen(np.loadtxt(text.splitlines(), skiprows=1))


def galaxies() -> Float[ndarray, "82 1"]:
    """Return the 82 galaxy velocities standardised to mean 0 and variance 1."""
    v = galaxy_velocities()
    return ((v - v.mean()) / v.std())[:, None]


@cache
def velocity_scale():
    """Return the standard deviation of the velocities in km/s: the unit of ``galaxies()``."""
    return float(galaxy_velocities().std())


def km_per_s(log_snr):
    """Return the blur in km/s at level λ, e^{−λ/2} standard deviations; levels of any shape."""
    return velocity_scale() * np.exp(-np.asarray(log_snr) / 2)


# --- Shapes in the plane ------------------------------------------------------------------------


def planar_law(name):
    """Return the law of a shape of ``PLANAR``: a ``GaussianMixture`` whose centres fill the shape.

    The centres have mean 0 and a variance of 1 averaged over the two coordinates. Raises
    ``ValueError`` for an unknown name, with the nearest.
    """
    _, make_centres, spread = PLANAR[require_known("shape", name, tuple(PLANAR))]
    x = data_set(make_centres())
    x = x - x.mean(axis=0)
    x /= np.sqrt(x.var(axis=0).mean())
    n = len(x)
    return GaussianMixture(np.full(n, 1 / n), x, np.full(n, spread**2))


def _two_moons():
    angle = np.linspace(0, np.pi, 70)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.concatenate([upper, [1.0, 0.5] - upper])


def _spiral():
    angle = 3 * np.pi * np.sqrt(np.linspace(0.02, 1, 180))  # nearly even along the curve
    return angle[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _checkerboard():
    across = (np.arange(8) + 0.5) / 8
    cell = np.stack(np.meshgrid(across, across), axis=-1).reshape(-1, 2)
    corners = [(i, j) for i in range(4) for j in range(4) if (i + j) % 2 == 0]
    return np.concatenate([cell + corner for corner in corners])


def _circle(radius, n):
    angle = 2 * np.pi * np.arange(n) / n
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


# name: (title, function that returns the centres [K, 2], their standard deviation once scaled)
PLANAR = {
    "two_moons": ("two moons", _two_moons, 0.08),
    "spiral": ("spiral", _spiral, 0.08),
    "checkerboard": ("checkerboard", _checkerboard, 0.08),
    "rings": ("two rings", lambda: np.concatenate([_circle(1.0, 50), _circle(2.2, 110)]), 0.08),
    "blobs": ("six blobs", lambda: _circle(1.0, 6), 0.3),
}

# --- Images -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Images:
    """Square grey images to learn from and others held out, with labels 0 … 9.

    ``train`` and ``held_out`` [n, side²] take the values ``grey_levels(white)``.
    """

    title: str
    white: int
    train: Float[ndarray, "n d"]
    labels: ndarray
    held_out: Float[ndarray, "m d"]
    held_out_labels: ndarray


def images(name, held_out=500):
    """Return the ``Images`` of that name: "digits", or "fashion" where it is installed.

    Raises ``ValueError`` where there are none, and unless some digits are left to learn from.
    """
    title, read, white = IMAGES[require_known("set of images", name, tuple(IMAGES))]
    (pixels, labels), (rest, others) = read(held_out)
    train, rest = (frozen(x / (white / 2) - 1) for x in (pixels, rest))
    return Images(title, white, train, labels, rest, others)


def digits():
    """Return handwritten digits as (train [1297, 64], held-out [500, 64]), values in [−1, 1].

    8×8 images of 17 grey levels, pixel/8 − 1. Source: Alpaydin & Kaynak 1998 (optical recognition
    of handwritten digits, UCI), in scikit-learn.
    """
    found = images("digits")
    return found.train, found.held_out


def _digits(held_out):
    """Return (pixels, labels) to learn from, and (pixels, labels) of those held out."""
    from sklearn.datasets import load_digits  # slow to import, and needed by few

    pixels, labels = load_digits(return_X_y=True)
    if not 0 < held_out < len(pixels):
        raise ValueError(f"held_out must leave some of {len(pixels)} images, got {held_out}")
    order = np.random.default_rng(0).permutation(len(pixels))
    return [(pixels[k], labels[k]) for k in (order[:-held_out], order[-held_out:])]


def _fashion(held_out):
    """Return the same of clothes, 60,000 and some of 10,000, 28×28.

    Source: Xiao, Rasul & Vollgraf 2017 (arXiv 1708.07747), by Debian's dataset-fashion-mnist.
    """
    folder = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))
    train, test = (
        [_read_idx(folder / f"{part}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1")]
        for part in ("train", "t10k")
    )
    chosen = np.random.default_rng(0).permutation(len(test[0]))[:held_out]
    return [(x, labels[:, 0]) for x, labels in (train, [part[chosen] for part in test])]


def _read_idx(path):
    """The bytes of a gzipped idx file, [n, …]: 0, 0, type 8, number of axes k, k sizes as >i4."""
    if not path.is_file():
        raise ValueError(
            f"Fashion-MNIST is not here, no file {path}: install Debian's package "
            "dataset-fashion-mnist, or name the folder of its four files in FASHION_MNIST"
        )
    content = gzip.decompress(path.read_bytes())
    n = int.from_bytes(content[4:8], "big")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(n, -1)


# name: (title, function held_out → both (pixels, labels), grey level of white)
IMAGES = {
    "digits": ("Digits, 8×8", _digits, 16),
    "fashion": ("Fashion-MNIST, 28×28", _fashion, 255),
}


def grey_levels(white=16):
    """Return the values in [−1, 1] that a pixel can take, [white + 1]; ``digits`` have 16."""
    return np.arange(white + 1) / (white / 2) - 1


def to_pixels(x: ArrayLike, white=16) -> UInt8[ndarray, "..."]:
    """Return the nearest grey level 0 … white of each coordinate of x, the inverse of scaling."""
    return np.rint((np.clip(x, -1, 1) + 1) * (white / 2)).astype(np.uint8)
