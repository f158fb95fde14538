"""What generated images are measured with: real images, and features in which to compare.

    yardstick = yardstick_of("digits", held_out=500)
    yardstick.measure(x, bootstraps=100, rng=rng)    Fréchet distance, precision, recall, memorised
    yardstick.floor(500)                             the same of real images: no model does better

The features are the last hidden layer of a small classifier, trained here on the training images.
"""

import warnings
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from course_utils._checks import (
    data_set,
    finite,
    finite_result,
    prediction,
    require_count,
    require_function,
    require_known,
    require_range,
    require_rng,
)
from course_utils.datasets import IMAGES, grey_levels, images, to_pixels
from course_utils.distances import _feature_sets, _surprise, bootstrap
from course_utils.schedules import alpha, sigma

MEASURES = ("frechet", "precision", "recall", "memorised")
FEWEST = 4  # images to compare: each has three neighbours
LESSONS = 10_000  # the classifier learns from no more images


class Yardstick:
    """The real ``images`` (see ``datasets.Images``), and a classifier whose features compare."""

    def __init__(self, images):
        from sklearn.neural_network import MLPClassifier

        self.images, self.train, self.held_out = images, images.train, images.held_out
        self.classifier = MLPClassifier((64, 32), max_iter=60, tol=0, random_state=0)
        with warnings.catch_warnings():  # it stops after 60 rounds by intent
            warnings.simplefilter("ignore")
            self.classifier.fit(images.train[:LESSONS], images.labels[:LESSONS])
        self.accuracy = float(self.classifier.score(images.held_out, images.held_out_labels))
        self.real = self.features(images.held_out)
        self.values = grey_levels(images.white)

    def pixels(self, x):
        """The nearest grey levels of samples x [n, d], uint8 [n, side, side]."""
        x = self._samples(x)
        return to_pixels(x, self.images.white).reshape(-1, self.images.side, self.images.side)

    def rounded(self, x):
        """Samples x [n, d] with every coordinate at the nearest grey level."""
        return self.values[to_pixels(self._samples(x), self.images.white)]

    def features(self, x):
        """The 32 activations before the classifier's last layer, [n, 32]."""
        x = self._samples(x)
        layers = zip(self.classifier.coefs_, self.classifier.intercepts_, strict=True)
        for weights, biases in list(layers)[:-1]:
            x = np.maximum(x @ weights + biases, 0)
        return x

    def _samples(self, x):
        """x as finite numbers [n, d], d that of the images."""
        x = data_set(x)
        if x.shape[1] != self.train.shape[1]:
            raise ValueError(
                f"samples must be [n, {self.train.shape[1]}] for {self.images.title}, got {x.shape}"
            )
        return x

    def measure(self, x, bootstraps, rng):
        """[value, standard error] of each of ``MEASURES`` for images x [n, d]."""
        require_rng(rng)
        require_count("bootstraps", bootstraps, least=2)
        x = self._samples(x)
        require_count("number of images", len(x), least=FEWEST)
        features = self.features(x)
        copies = self.train[: len(self.held_out)]
        found = {
            "frechet": list(bootstrap(frechet, features, self.real, rng=rng, repeats=bootstraps))
        }
        for name, each in {
            "precision": within_manifold(features, self.real),
            "recall": within_manifold(self.real, features),
            "memorised": nearer_to_first(x, copies, self.held_out),
        }.items():
            found[name] = list(bootstrap(np.mean, each, rng=rng, repeats=bootstraps))
        return found

    def floor(self, n, repeats=20):
        """Mean and spread of each measure for n real training images, ``repeats`` times drawn.

        They come from the training images that ``memorised`` is not compared with.
        """
        require_count("n", n, least=FEWEST)
        require_count("repeats", repeats, least=2)
        rng = np.random.default_rng(5)
        fresh = self.train[len(self.held_out) :]
        n = min(n, len(fresh))
        rows = [
            self.measure(fresh[rng.choice(len(fresh), n, replace=False)], 2, rng)
            for _ in range(repeats)
        ]
        table = {name: [row[name][0] for row in rows] for name in MEASURES}
        return {k: [float(np.mean(v)), float(np.std(v, ddof=1))] for k, v in table.items()}


def yardstick_of(name, held_out=500):
    """Return the ``Yardstick`` of a set of images, made once; see ``datasets.images``."""
    require_known("set of images", name, tuple(IMAGES))
    require_count("held_out", held_out, least=FEWEST)
    return _made_once(name, held_out)


@cache
def _made_once(name, held_out):
    return Yardstick(images(name, held_out))


class ImageBits(NamedTuple):
    """The terms of −ELBO in bits per dimension, one of each for every image, [n]."""

    prior: np.ndarray
    diffusion: np.ndarray
    reconstruction: np.ndarray

    @property
    def total(self):
        """−ELBO in bits per dimension, [n]: at least −log₂ p(x)/d on average over the noise."""
        return self.prior + self.diffusion + self.reconstruction


@finite_result
def bits_per_dimension(eps, x, values, log_snr_min, log_snr_max, rng, *, n_levels=64):
    """Return the ``ImageBits`` of x [n, d], whose coordinates take the discrete ``values`` alone.

        prior           D_KL(q(z_1|x) ‖ N(0, I))                          at log_snr_min
        diffusion       ½ ∫ ‖ε − ε̂(z_λ, λ)‖² dλ                            between the two
        reconstruction  −log p(x|z_0), p(x_i|z_0) ∝ N(z_0i; α x_i, σ²)    at log_snr_max

    in nats, divided by d log 2. The last is a probability over the values, so the sum bounds the
    code length of the images. ``eps`` is a function (z, log_snr [n, 1]) → ε̂. Every image gets
    ``n_levels`` levels, one in each of as many equal cells, shifted together by chance. The
    estimate is unbiased. Source: Kingma et al. 2021, eq. 11–19.
    """
    require_function("eps", eps, "(z, log_snr)")
    require_rng(rng)
    x, values = data_set(x), finite("values", values)
    if values.ndim != 1:
        raise ValueError(f"values must be a list of numbers, got shape {values.shape}")
    log_snr_min, log_snr_max = require_range(log_snr_min, log_snr_max)
    if not np.isin(np.round(x, 9), np.round(values, 9)).all():
        raise ValueError(f"x must be [n, d] with coordinates among the values, got {x.shape}")
    require_count("n_levels", n_levels)
    n, d = x.shape
    a2, s2 = alpha(log_snr_min) ** 2, sigma(log_snr_min) ** 2
    prior = (a2 * x**2 - a2 - np.log(s2)).sum(axis=1) / 2  # σ² − 1 = −α²

    width = log_snr_max - log_snr_min
    shift = rng.random((n, 1))
    error = np.zeros(n)
    for cell in range(n_levels):
        level = log_snr_min + width * (cell + shift) / n_levels
        noise = rng.standard_normal(x.shape)
        predicted = prediction(eps, alpha(level) * x + sigma(level) * noise, level)
        error += ((noise - predicted) ** 2).sum(axis=1)
    diffusion = error * width / n_levels / 2

    spread = np.exp(-log_snr_max / 2)
    lost = np.zeros(n)
    draws = min(4, max(1, 256 // d))  # over many coordinates one draw averages well
    for _ in range(draws):
        z = x + spread * rng.standard_normal(x.shape)
        lost += [_surprise(*pair, values, spread) / draws for pair in zip(x, z, strict=True)]
    return ImageBits(*(term / (d * np.log(2)) for term in (prior, diffusion, lost)))


@finite_result
def frechet(a, b):
    """Return ‖m_a − m_b‖² + tr(C_a + C_b − 2 (C_a C_b)^{1/2}) of two sets of features [n, d].

    The squared W_2 between the normal laws with their means and covariances. Few points make it
    too large, even for two real sets: compare at equal n, beside real against real. Source:
    Dowson & Landau 1982; Heusel et al. 2017.
    """
    a, b = _feature_sets(a, b)
    (m_a, c_a), (m_b, c_b) = ((x.mean(axis=0), np.atleast_2d(np.cov(x.T))) for x in (a, b))
    size, vectors = np.linalg.eigh(c_a)
    root = vectors * np.sqrt(np.maximum(size, 0)) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ c_b @ root), 0)).sum()
    return float(np.sum((m_a - m_b) ** 2) + np.trace(c_a) + np.trace(c_b) - 2 * cross)


@finite_result
def within_manifold(points, reference, k=3):
    """Return whether each point lies within reach of some reference point, bool [n].

    A reference point reaches as far as its k-th nearest fellow. Then *precision* is the mean over
    samples with real points as reference, *recall* that over real points with samples as reference.
    points [n, d], reference [m, d], m > k. Two real sets do not reach 1: see the floor. Source:
    Kynkäänniemi et al. 2019.
    """
    points, reference = _feature_sets(points, reference)
    require_count("k", k)
    if len(reference) <= k:
        raise ValueError(f"need more than k = {k} reference points, got {len(reference)}")
    reach = np.sort(cdist(reference, reference), axis=1)[:, k]  # the 0th is the point itself
    return (cdist(points, reference) <= reach).any(axis=1)


@finite_result
def nearer_to_first(points, first, second):
    """Return 1 where a point's nearest neighbour is in ``first``, 0 if in ``second``, ½ for ties.

    With as many training images as ``first`` as held-out images as ``second``, the mean is ½ for
    new images and towards 1 for memorised ones. points [n, d]; the other two [m, d], of one m.
    """
    first, second = _feature_sets(first, second)
    if len(first) != len(second):
        raise ValueError(f"the two sets must have one size, got {len(first)} and {len(second)}")
    to_first, to_second = (
        cdist(_feature_sets(points, other)[0], other).min(axis=1) for other in (first, second)
    )
    return (1 + np.sign(to_second - to_first)) / 2
