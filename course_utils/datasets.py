"""The course's data: the galaxies' velocities, shapes in the plane, handwritten digits.

Nothing is downloaded. The study also reads Fashion-MNIST, where it is installed.
"""

import gzip
import os
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from course_utils._checks import finite_result, float64, require_count, require_known
from course_utils.mixtures import GaussianMixture

THICKNESS = 0.08  # standard deviation of the planar shapes about their centres


def galaxy_velocities():
    """Return the velocities of 82 galaxies of the Corona Borealis region in km/s, sorted, [82].

    Sources: Postman, Huchra & Geller 1986 (the survey); Roeder 1990 (the 82 as a sample for
    density estimation). The 78th value reads 26960, as measured, where some copies of the table
    have 26690.
    """
    text = files("course_utils").joinpath("data/galaxies.csv").read_text(encoding="utf-8")
    return np.loadtxt(text.splitlines(), skiprows=1)


def galaxies():
    """Return the 82 galaxy velocities standardised to mean 0 and variance 1, as [82, 1].

    One unit is ``velocity_scale()`` km/s.
    """
    v = galaxy_velocities()
    return ((v - v.mean()) / v.std())[:, None]


def velocity_scale():
    """Return the standard deviation of the velocities in km/s: the unit of ``galaxies()``."""
    return float(galaxy_velocities().std())


@finite_result
def km_per_s(log_snr):
    """Return the blur in km/s at level λ: noise of standard deviation σ/α times the data's unit.

    Equation: blur = ``velocity_scale()`` · e^{−λ/2}, for levels of any shape.
    """
    return velocity_scale() * np.exp(-float64(log_snr) / 2)


def planar(name, n, rng):
    """Return n points of a shape in the plane, [n, 2]: independent draws of ``planar_law(name)``.

    ``name`` is one of ``PLANAR``: two_moons, spiral, checkerboard, rings, blobs; ``rng`` is a
    ``numpy.random.Generator``. Raises ``ValueError`` for an unknown name, naming the nearest.
    """
    return planar_law(name).sample(n, rng)


def planar_law(name):
    """Return the law of a planar shape: a ``GaussianMixture`` whose centres fill the shape.

    The centres have mean 0 and a variance of 1 averaged over the two coordinates. Their neighbours
    stand closer than 1.5 standard deviations (``THICKNESS``), so that the density ripples by less
    than 1e-3 along the shape, and its ideal denoiser is known at every level. ``blobs`` are six
    separate Gaussians of standard deviation 0.3.
    """
    return _planar_law(require_known("shape", name, tuple(PLANAR)))


def digits(held_out=500, seed=0):
    """Return handwritten digits as (train [1797 − held_out, 64], held-out [held_out, 64]).

    8×8 images from scikit-learn, 17 grey levels 0 … 16 scaled by pixel/8 − 1 to [−1, 1]: mean
    −0.39, standard deviation 0.75 over all pixels, background −1. ``seed`` fixes which images are
    held out. Raises ``ValueError`` unless some images are left on both sides. Source: Alpaydin &
    Kaynak 1998 (optical recognition of handwritten digits, UCI).
    """
    (train, _), (rest, _) = labelled_digits(held_out, seed)
    return train, rest


def labelled_digits(held_out=500, seed=0):
    """Return ((x, labels), (x, labels)): ``digits`` with the digit each image shows, 0 … 9."""
    from sklearn.datasets import load_digits  # slow to import, and needed by few

    require_count("held_out", held_out)
    require_count("seed", seed, least=0, most=2**64)
    pixels, labels = load_digits(return_X_y=True)
    if held_out >= len(pixels):
        raise ValueError(f"held_out must leave some of {len(pixels)} images, got {held_out}")
    order = np.random.default_rng(seed).permutation(len(pixels))
    x, labels = pixels[order] / 8 - 1, labels[order]
    n = len(x) - held_out
    return (x[:n], labels[:n]), (x[n:], labels[n:])


def labelled_fashion(held_out=500, seed=0):
    """Return ((x, labels), (x, labels)): 60,000 pictures of clothes, and some held out, [.., 784].

    28×28 images, 256 grey levels scaled by pixel/127.5 − 1; ``held_out`` of the 10,000 test images,
    chosen by ``seed``; labels 0 … 9, T-shirt to ankle boot. They are read from the four files of
    Debian's package dataset-fashion-mnist, or from the folder named in the environment variable
    FASHION_MNIST. Raises ``ValueError`` where they are not, or not whole. Source: Xiao, Rasul &
    Vollgraf 2017 (arXiv 1708.07747).
    """
    require_count("held_out", held_out)
    require_count("seed", seed, least=0, most=2**64)
    (x, labels), (rest, others) = (_fashion_part(part) for part in ("train", "t10k"))
    if held_out > len(rest):
        raise ValueError(f"held_out must be at most the {len(rest)} test images, got {held_out}")
    chosen = np.random.default_rng(seed).permutation(len(rest))[:held_out]
    return (x / 127.5 - 1, labels), (rest[chosen] / 127.5 - 1, others[chosen])


def _fashion_part(part):
    folder = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))
    pixels, labels = (
        _idx(folder / f"{part}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1")
    )
    if pixels.ndim != 3 or pixels.shape[1:] != (28, 28) or labels.shape != pixels.shape[:1]:
        raise ValueError(
            f"{folder} must hold images of 28×28 and a label for each, got {pixels.shape} images "
            f"and {labels.shape} labels"
        )
    return pixels.reshape(len(pixels), -1), labels


def _idx(path):
    """The bytes of a gzipped idx file, in their shape: 0, 0, type 8, sizes as big-endian int32."""
    if not path.is_file():
        raise ValueError(
            f"Fashion-MNIST is not here, no file {path}: install Debian's package "
            "dataset-fashion-mnist, or name the folder of its four files in FASHION_MNIST"
        )
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} is not a whole gzip file: {error}") from None
    start = 4 + 4 * content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    shape = np.frombuffer(content[4:start], ">i4").tolist() if start <= len(content) else []
    if not shape or np.prod(shape) != len(content) - start:
        raise ValueError(f"{path} is not a whole idx file of bytes: it holds {len(content)} bytes")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


@dataclass(frozen=True, eq=False)
class Images:
    """Square grey images to learn from and others held out, with labels 0 … 9.

    ``train`` and ``held_out`` [n, side²] take the values ``grey_levels(white)``.
    """

    title: str
    train: np.ndarray
    labels: np.ndarray
    held_out: np.ndarray
    held_out_labels: np.ndarray
    white: int

    @property
    def side(self):
        """The images' width and height."""
        return int(np.sqrt(self.train.shape[1]))


IMAGES = {
    "digits": ("Digits, 8×8", labelled_digits, 16),
    "fashion": ("Fashion-MNIST, 28×28", labelled_fashion, 255),
}


def images(name, held_out=500):
    """Return the ``Images`` of that name: "digits", or "fashion" where it is installed.

    Raises ``ValueError`` for other names, and as ``labelled_digits`` and ``labelled_fashion`` do.
    """
    title, read, white = IMAGES[require_known("set of images", name, tuple(IMAGES))]
    (train, labels), (rest, others) = read(held_out)
    return Images(title, train, labels, rest, others, white)


def grey_levels(white=16):
    """Return the values in [−1, 1] that a pixel can take, [white + 1]; ``digits`` have 16."""
    require_count("white", white, most=2**16)
    return np.arange(white + 1) / (white / 2) - 1


def to_pixels(x, white=16):
    """Return the nearest grey level 0 … white of each coordinate of x, uint8: digits(x)⁻¹."""
    require_count("white", white, most=255)
    return np.rint((np.clip(float64(x), -1, 1) + 1) * (white / 2)).astype(np.uint8)


GREY_LEVELS = grey_levels()  # of ``digits``


@cache
def _planar_law(name):
    centres, thickness = PLANAR[name]()
    centres = centres - centres.mean(axis=0)
    centres /= np.sqrt(centres.var(axis=0).mean())
    n = len(centres)
    law = GaussianMixture(np.full(n, 1 / n), centres, np.full(n, thickness**2))
    for array in (law.weights, law.means, law.variances):
        array.flags.writeable = False  # one law for all who ask
    return law


def _two_moons():
    angle = np.linspace(0, np.pi, 70)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.concatenate([upper, [1.0, 0.5] - upper]), THICKNESS


def _spiral():
    angle = 3 * np.pi * np.sqrt(np.linspace(0.02, 1, 180))  # nearly even along the curve
    return angle[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), THICKNESS


def _checkerboard():
    across = (np.arange(8) + 0.5) / 8
    cell = np.stack(np.meshgrid(across, across), axis=-1).reshape(-1, 2)
    corners = [(i, j) for i in range(4) for j in range(4) if (i + j) % 2 == 0]
    return np.concatenate([cell + corner for corner in corners]), THICKNESS


def _rings():
    circles = []
    for radius, n in ((1.0, 50), (2.2, 110)):  # as many centres as the radius is long
        angle = 2 * np.pi * np.arange(n) / n
        circles.append(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1))
    return np.concatenate(circles), THICKNESS


def _blobs():
    angle = 2 * np.pi * np.arange(6) / 6
    return np.stack([np.cos(angle), np.sin(angle)], axis=1), 0.3


PLANAR = {
    "two_moons": _two_moons,
    "spiral": _spiral,
    "checkerboard": _checkerboard,
    "rings": _rings,
    "blobs": _blobs,
}
