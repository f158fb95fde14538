"""What generated images are measured with: bits per dimension, Fréchet distance, precision, recall.

    metrics = metrics_for("digits", 500)
    metrics.measure(x)      Fréchet distances, precision, recall, memorised
    metrics.floor(500)      the same of real images: no model does better
    measured(plan, model, 0)    all that the study keeps of one trained network

Images are points [n, d]. ``ImageMetrics`` compares in the last hidden layer of a small classifier,
trained here on the training images; the Fréchet distance in the plain pixels too.
"""

import base64
import warnings
from functools import cache

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.spatial.distance import cdist

from course_utils._checks import data_set, frozen
from course_utils.datasets import grey_levels, images, to_pixels
from course_utils.schedules import alpha, sigma

MEASURES = ("frechet", "frechet_pixels", "precision", "recall", "memorised")
ETAS = (0.0, 1.0)  # DDIM and the ancestral sampler
BITS = ("total", "prior", "diffusion", "reconstruction")
MEASURED = (
    *(f"bits.{term}" for term in BITS),
    "bits_train",
    *(f"eta{eta:g}.{measure}" for eta in ETAS for measure in MEASURES),
)
ON_SHEET = 12  # samples kept of each run
N_LESSONS = 10_000  # the classifier learns from at most this many images


class ImageMetrics:
    """Real ``images``, and a classifier: ``real`` are the held-out ones in its features."""

    def __init__(self, images):
        from sklearn.neural_network import MLPClassifier  # slow to import, and needed by few

        self.images, self.train, self.held_out = images, images.train, images.held_out
        self.classifier = MLPClassifier((64, 32), max_iter=60, tol=0, random_state=0)
        with warnings.catch_warnings(), np.errstate(under="ignore"):
            warnings.simplefilter("ignore")  # it stops after 60 rounds by intent
            self.classifier.fit(images.train[:N_LESSONS], images.labels[:N_LESSONS])
        self.real = frozen(self.features(images.held_out))

    def features(self, x: Float[ndarray, "n d"]) -> Float[ndarray, "n 32"]:
        """Return the activations before the classifier's last layer."""
        hidden = zip(self.classifier.coefs_[:-1], self.classifier.intercepts_[:-1], strict=True)
        for weights, biases in hidden:
            x = np.maximum(x @ weights + biases, 0)
        return x

    def measure(self, x: Float[ndarray, "n d"]):
        """Return each of ``MEASURES`` for n ≥ 4 images."""
        features = self.features(x)
        copies = self.train[: len(self.held_out)]
        found = (
            frechet(features, self.real),
            frechet(x, self.held_out),
            within_manifold(features, self.real).mean(),
            within_manifold(self.real, features).mean(),
            nearer_to_first(x, copies, self.held_out).mean(),
        )
        return dict(zip(MEASURES, map(float, found), strict=True))

    def floor(self, n):
        """Return mean and spread of each measure over draws of n training images.

        They come from the N ≥ n training images that ``memorised`` is not compared with. The spread
        is that between two halves that share no image, of N/2 images each where n is more.
        """
        rng = np.random.default_rng(5)
        fresh = self.train[len(self.held_out) :]
        half = min(n, len(fresh) // 2)
        values, halves = [], []
        for _ in range(50):
            x = fresh[rng.permutation(len(fresh))]
            values.append(list(self.measure(x[:n]).values()))
            halves.append([list(self.measure(x[i : i + half]).values()) for i in (0, half)])
        spread = np.sqrt(np.mean(np.var(halves, axis=1, ddof=1), axis=0))
        found = zip(MEASURES, np.mean(values, axis=0), spread, strict=True)
        return {name: [float(mean), float(sd)] for name, mean, sd in found}


@cache
def metrics_for(name, held_out=500):
    """Return the ``ImageMetrics`` of a set of images, made once; see ``datasets.images``."""
    return ImageMetrics(images(name, held_out))


def bits_per_dimension(
    eps, x: Float[ndarray, "n d"], values: Float[ndarray, " m"], low, high, rng, n_levels=64
) -> dict[str, Float[ndarray, " n"]]:
    """Return −ELBO in bits per dimension and its terms, for each of the images x.

        prior           D_KL(q(z_1|x) ‖ N(0, I))                          at λ = low
        diffusion       ½ ∫ ‖ε − ε̂(z_λ, λ)‖² dλ                            between the two
        reconstruction  −log p(x|z_0), p(x_i|z_0) ∝ N(z_0i; α x_i, σ²)    at λ = high

    in nats, divided by d log 2. The total bounds a code length if x takes the discrete ``values``
    alone. ``eps`` is a function (z, log_snr [n, 1]) → ε̂. Every image gets ``n_levels`` levels, one
    in each of as many equal cells, shifted together by chance: the estimate is unbiased. Source:
    Kingma et al. 2021, eq. 11–19.
    """
    n, d = x.shape
    a2, s2 = alpha(low) ** 2, sigma(low) ** 2
    prior = (a2 * x**2 - a2 - np.log(s2)).sum(axis=1) / 2  # ½ (α²x² + σ² − 1 − log σ²)

    width = high - low
    shift = rng.random((n, 1))
    error = np.zeros(n)
    for cell in range(n_levels):
        level = low + width * (cell + shift) / n_levels
        noise = rng.standard_normal(x.shape)
        predicted = eps(alpha(level) * x + sigma(level) * noise, level)
        error += ((noise - predicted) ** 2).sum(axis=1)
    diffusion = error * width / n_levels / 2

    spread = np.exp(-high / 2)  # σ/α
    lost = np.zeros(n)
    draws = min(4, max(1, 256 // d))  # over many coordinates one draw averages well
    for _ in range(draws):
        z = x + spread * rng.standard_normal(x.shape)
        lost += _neg_log_prob(x, z, values, spread) / draws
    prior, diffusion, lost = (term / (d * np.log(2)) for term in (prior, diffusion, lost))
    return dict(zip(BITS, (prior + diffusion + lost, prior, diffusion, lost), strict=True))


@np.errstate(under="ignore")
def _neg_log_prob(x, z, values, spread):
    """−log p(x|z) in nats of images x [n, d], p(x_i|z) ∝ N(z_i; x_i, spread²) over the values."""
    odds = np.zeros_like(x)
    for value in values:  # (z − x)² − (z − v)², at most (z − x)²: the exponential cannot overflow
        odds += np.exp((x - value) * (x + value - 2 * z) / (2 * spread**2))
    return np.log(odds).sum(axis=1)


def frechet(a: Float[ndarray, "n d"], b: Float[ndarray, "m d"]):
    """Return ‖m_a − m_b‖² + tr(C_a + C_b − 2 (C_a C_b)^{1/2}) of two sets of features.

    Few points make it too large, even for two real sets: compare at equal n, beside real against
    real. Source: Dowson & Landau 1982; Heusel et al. 2017.
    """
    c_a, c_b = (np.atleast_2d(np.cov(x.T)) for x in (a, b))
    size, vectors = np.linalg.eigh(c_a)
    root = vectors * np.sqrt(np.maximum(size, 0)) @ vectors.T
    # tr (C_a C_b)^{1/2} by the eigenvalues of C_a^{1/2} C_b C_a^{1/2}, which is symmetric
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ c_b @ root), 0)).sum()
    between = np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)
    return float(between + np.trace(c_a) + np.trace(c_b) - 2 * cross)


def within_manifold(
    points: Float[ndarray, "n d"], reference: Float[ndarray, "m d"], k=3
) -> Bool[ndarray, " n"]:
    """Return whether each of the points lies within reach of some reference point, m > k.

    A reference point reaches as far as its k-th nearest fellow. *Precision* is the mean over
    samples with real points as reference, *recall* that over real points with samples as reference.
    Source: Kynkäänniemi et al. 2019.
    """
    reach = np.sort(cdist(reference, reference), axis=1)[:, k]  # the 0th is the point itself
    return (cdist(points, reference) <= reach).any(axis=1)


def nearer_to_first(
    points: Float[ndarray, "n d"], first: Float[ndarray, "m d"], second: Float[ndarray, "m d"]
) -> Float[ndarray, " n"]:
    """Return 1 where a point's nearest neighbour is in ``first``, 0 if in ``second``, ½ for ties.

    With training images as ``first`` and as many held-out ones as ``second``, the mean is ½ for new
    images and towards 1 for memorised ones.
    """
    to_first, to_second = (cdist(points, other).min(axis=1) for other in (first, second))
    return (1 + np.sign(to_second - to_first)) / 2


def measured(plan, model, seed):
    """Return what a ``networks.Trained`` model is like, at the end of a run or along it.

    bits (held-out −ELBO in bits per dimension: total and its terms), bits_train (the total of as
    many training images), noise_error (held-out E‖ε − ε̂‖²/d at the levels ``plan.curve``); eta0
    and eta1, ``MEASURES`` of DDIM and ancestral samples; sheets of some. Noise is the same in every
    run, and samples start alike in those of one seed.
    """
    metrics = metrics_for(plan.data, plan.held_out)
    held_out, white = metrics.held_out, metrics.images.white
    values, span = grey_levels(white), (plan.log_snr_min, plan.log_snr_max)

    def bits(x):
        rng = np.random.default_rng(1)
        found = bits_per_dimension(model.eps, x, values, *span, rng, plan.n_levels)
        return {term: float(each.mean()) for term, each in found.items()}

    rng, errors = np.random.default_rng(4), []
    for level in plan.curve:
        noise = rng.standard_normal(held_out.shape)
        z = alpha(level) * held_out + sigma(level) * noise
        errors.append(float(np.mean((noise - model.eps(z, level)) ** 2)))
    found = {"bits": bits(held_out), "bits_train": bits(metrics.train[: plan.held_out])["total"]}
    found |= {"noise_error": errors, "sheets": {}}
    for eta in ETAS:
        rng = np.random.default_rng([2, seed])
        x = model.sample(plan.n_samples, rng, n_steps=plan.sampler_steps, eta=eta)
        pixels = to_pixels(data_set(x), white)
        found[f"eta{eta:g}"] = metrics.measure(values[pixels])
        found["sheets"][f"eta{eta:g}"] = base64.b64encode(pixels[:ON_SHEET].tobytes()).decode()
    return found
