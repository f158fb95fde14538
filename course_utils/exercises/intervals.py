"""Student's t intervals over seeds, right and with the usual mistakes: exercises of 07 and 08."""

import numpy as np
from scipy.stats import t as student


def reach(d, quantile=None, ddof=1, root=True):
    """Half the length of the 95 % interval of the mean of d [S]."""
    quantile = student.ppf(0.975, len(d) - 1) if quantile is None else quantile
    return quantile * np.std(d, ddof=ddof) / (np.sqrt(len(d)) if root else 1)


def about(centre, reach):
    return centre, centre - reach, centre + reach


def interval(d, **options):
    """The mean of d [S] and the ends of its 95 % interval."""
    return about(np.mean(d), reach(d, **options))


def unpaired(a, b):
    """A mistake: the spreads of a and b, as if their seeds were not the same."""
    return about(a.mean() - b.mean(), np.hypot(reach(a), reach(b)))
