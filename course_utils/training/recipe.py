"""How a network is trained: all but its data, weighting and seed, and where it draws its levels.

Nothing here needs torch.
"""

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from course_utils._checks import require_known, require_range
from course_utils.objectives import PUBLISHED
from course_utils.schedules import alpha
from course_utils.variance import DensitySchedule
from course_utils.weightings import evaluate

N_BINS = 64  # of λ, in which the running error is kept
UNIFORM = 0.1  # height of the uniform part of an adaptive density, beside a mean height of 1
MEMORY = 0.7  # what earlier errors count after each ``observe``
WARM = 60  # steps over which the rate rises


@dataclass(frozen=True)
class Recipe:
    """Adam on ``n_steps`` batches of ``batch`` latents; what comes out is an average of weights.

    Nothing else in it knows ``n_steps``, so that a short run is the beginning of a long one: the
    rate stays where it is after a warm-up, and an average over weights, whose memory grows with the
    run, does what a falling rate would do. The network has ``n_blocks`` blocks of ``width``, and
    ``skip`` (``networks.Network``). ``levels``, "adaptive", "uniform" or an objective, and their
    range are for the ``LevelSampler``. Raises ``ValueError`` where nothing could be trained.
    """

    n_steps: int = 1200
    batch: int = 128
    width: int = 256
    n_blocks: int = 3
    learning_rate: float = 2e-3
    memory: float = 0.1
    levels: str = "adaptive"
    log_snr_min: float = -10.0
    log_snr_max: float = 6.0
    skip: bool = False

    def __post_init__(self):
        require_known("kind of levels", self.levels, ("adaptive", "uniform", *PUBLISHED))
        require_range(self.log_snr_min, self.log_snr_max)
        counts = (self.n_steps, self.batch, self.width, self.n_blocks)
        whole = all(isinstance(count, Integral) and count >= 1 for count in counts)
        if not (whole and 0 < self.learning_rate < np.inf and 0 < self.memory < 1):
            raise ValueError(
                "need whole n_steps, batch, width and n_blocks of at least 1, a finite "
                f"learning_rate > 0, and 0 < memory < 1, got {self}"
            )

    def rate(self, step):
        """Return Adam's rate at step 0, 1, …: learning_rate · min(1, (step + 1)/60)."""
        return self.learning_rate * min(1.0, (step + 1) / WARM)

    def decay(self, step):
        """Return what step n = 1 + ``step`` leaves of the average of weights, n/(n + 1/memory − 1).

        The weights of step n then count like n^(1/memory − 2): their mean age is ``memory`` times
        the steps so far. Source: Karras et al. 2024 (EDM2), their power-function average.
        """
        return (step + 1) / (step + 1 / self.memory)


class LevelSampler:
    """Draws levels λ ~ p, with the weight of each draw in the loss, as a ``Recipe`` says.

    ``draw(u)`` turns uniform numbers into levels and their coefficients w α²/p ÷ ∫ w α² dλ.
    "uniform": p is flat on the range. A key of ``PUBLISHED``: that objective's own p, cut to the
    range. "adaptive": p ∝ w(λ) times a running mean of ‖ε − ε̂‖²/d in 64 bins, plus a uniform part;
    ``observe`` feeds it. Raises ``ValueError`` where w is zero. Source: Kingma & Gao 2023.
    """

    def __init__(self, w, recipe):
        kind, low, high = recipe.levels, recipe.log_snr_min, recipe.log_snr_max
        self.w, self.adaptive = w, kind == "adaptive"
        self.edges = np.linspace(low, high, N_BINS + 1)
        self.middles = (self.edges[:-1] + self.edges[1:]) / 2
        fine = np.linspace(low, high, 4001)
        self.total = np.trapezoid(evaluate(w, fine) * alpha(fine) ** 2, fine)
        if not self.total > 0:
            raise ValueError(f"w is zero on [{low:g}, {high:g}]: nothing would be learnt")
        if self.adaptive:
            # before anything is seen: the error α² of v̂ = 0 on data of variance 1, once in each bin
            self.sums, self.counts = alpha(self.middles) ** 2, np.ones(N_BINS)
            self._follow_the_error()
        else:
            p = PUBLISHED[kind].density if kind in PUBLISHED else np.ones_like
            self.schedule = DensitySchedule(fine, p(fine))

    def _follow_the_error(self):
        error = np.interp(self.edges, self.middles, self.sums / self.counts)
        share = evaluate(self.w, self.edges) / self.total * error
        share /= share.mean() or 1.0  # w may be zero at every edge
        self.schedule = DensitySchedule(self.edges, share + UNIFORM)

    def draw(self, u):
        """Return the levels λ(u) and their coefficients, of the shape of u in [0, 1]."""
        log_snr = self.schedule.log_snr(u)
        weight = evaluate(self.w, log_snr) / self.total * alpha(log_snr) ** 2
        return log_snr, weight / self.schedule.density(log_snr)

    def observe(self, log_snr, error):
        """Let adaptive levels see errors ‖ε − ε̂‖²/d at levels of one shape; earlier ones fade."""
        if self.adaptive:
            bins = np.clip(np.searchsorted(self.edges, log_snr.ravel()) - 1, 0, N_BINS - 1)
            self.sums = MEMORY * self.sums + np.bincount(bins, error.ravel(), N_BINS)
            self.counts = MEMORY * self.counts + np.bincount(bins, minlength=N_BINS)
            self._follow_the_error()
