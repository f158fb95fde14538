"""What generated images are measured with: real images, and features in which to compare.

    yardstick = yardstick_of("digits", held_out=500)
    yardstick.measure(x, bootstraps=100, rng=rng)    Fréchet distance, precision, recall, memorised
    yardstick.floor(500)                             the same of real images: no model does better

The features are the last hidden layer of a small classifier, trained here on the training images.
"""

import warnings
from functools import cache

import numpy as np

from course_utils._arrays import data_set, require_count, require_known, require_rng
from course_utils.datasets import IMAGES, grey_levels, images, to_pixels
from course_utils.metrics import bootstrap, frechet, nearer_to_first, within_manifold

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
