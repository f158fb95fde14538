"""How a network is trained: everything about a run but its data, weighting and seed. No torch."""

from dataclasses import dataclass

import numpy as np

from course_utils._checks import require_known, require_range
from course_utils.training.adaptive import KINDS


@dataclass(frozen=True)
class Recipe:
    """Adam on ``n_steps`` batches of ``batch`` latents; what comes out is an average of weights.

    The network has ``n_blocks`` blocks of ``width``; ``skip`` is for data of more dimensions than
    that (``networks.Network``). ``levels`` is one of "adaptive", "uniform", "cosine"
    (``adaptive.LevelSampler``), between ``log_snr_min`` and ``log_snr_max``. Raises ``ValueError``
    for an unknown kind of levels, an empty range, or an average that would never move.
    """

    n_steps: int = 1200
    batch: int = 128
    width: int = 256
    n_blocks: int = 3
    learning_rate: float = 2e-3
    ema: float = 0.995
    levels: str = "adaptive"
    low_discrepancy: bool = True
    log_snr_min: float = -10.0
    log_snr_max: float = 6.0
    skip: bool = False

    def __post_init__(self):
        require_known("kind of levels", self.levels, KINDS)
        require_range(self.log_snr_min, self.log_snr_max)
        if not (self.n_steps >= 1 and 0 <= self.ema < 1):
            raise ValueError(
                f"need n_steps of at least 1 and 0 <= ema < 1, got {self.n_steps} and {self.ema}: "
                "ema = 0 takes the last weights, ema = 1 would keep the first"
            )

    def rate(self, step):
        """Return Adam's rate at step 0 … n_steps − 1: up over the first 5 %, down to 0 by a cosine.

        learning_rate · min(1, (step + 1)/warm) · ½ (1 + cos(π step/n_steps)), warm = n_steps/20.
        """
        warm = max(1, self.n_steps // 20)
        cooled = (1 + np.cos(np.pi * step / self.n_steps)) / 2
        return self.learning_rate * min(1.0, (step + 1) / warm) * float(cooled)

    def decay(self, step):
        """Return what one step leaves of the average of the weights: ema, less while it is young.

        A young average forgets faster, (step + 1)/(step + 10), or it would remember the random
        start.
        """
        return min(self.ema, (step + 1) / (step + 10))
