"""How a network is trained: everything about a run but its data, weighting and seed. No torch."""

from dataclasses import dataclass

from course_utils._checks import require_known, require_range
from course_utils.training.adaptive import KINDS

WARM = 60  # steps over which the rate rises


@dataclass(frozen=True)
class Recipe:
    """Adam on ``n_steps`` batches of ``batch`` latents; what comes out is an average of weights.

    Nothing else in it knows ``n_steps``, so that a short run is the beginning of a long one: the
    rate stays where it is after a warm-up, and an average over weights, whose memory grows with the
    run, does what a falling rate would do. The network has ``n_blocks`` blocks of ``width``, and
    ``skip`` (``networks.Network``). ``levels`` is "adaptive", "uniform" or an objective
    (``adaptive.LevelSampler``). Raises ``ValueError`` for unknown levels, an empty range, or an
    average that would never move.
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
        require_known("kind of levels", self.levels, KINDS)
        require_range(self.log_snr_min, self.log_snr_max)
        if not (self.n_steps >= 1 and 0 < self.memory < 1):
            raise ValueError(
                f"need n_steps of at least 1 and 0 < memory < 1, got {self.n_steps} and "
                f"{self.memory}: near 0 the last weights are taken, 1 would keep the first"
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
