"""One prediction, five names: x, ε, v, score and velocity, and what each does to the loss.

Given the latent z = α x + σ ε at a known level, any one of these fixes all the others:
x (the clean data), ε (the noise), v = α ε − σ x, score = −ε/σ, velocity u = ε − x.
"""

import numpy as np

from course_utils._checks import (
    finite_result,
    floating,
    in_numpy,
    require_known,
    require_levels_fit,
)
from course_utils.schedules import alpha, sigma

NAMES = ("x", "eps", "v", "score", "velocity")
ALIASES = {"noise": "eps", "ε": "eps", "data": "x", "u": "velocity"}  # for advice only


@finite_result
def convert(value, z, log_snr, source="eps", target="v"):
    """Return the prediction ``value``, named ``source``, under the name ``target``.

    ``value`` and ``z`` have the same shape, [batch, d] or any other; ``log_snr`` is one level or
    [batch, 1]; ``z`` is in VP coordinates. Returns the shape of z. Raises ``ValueError`` for an
    unknown name, for shapes that do not match, and where the result overflows. Source: Salimans &
    Ho 2022, appendix D, for v.
    """
    for name in (source, target):
        require_known("prediction", name, NAMES, ALIASES)
    kind, value = floating(value)
    xp, z = floating(z)
    of_levels, log_snr = floating(log_snr)
    if kind is not xp or (log_snr.ndim and of_levels is not xp):
        kinds = [namespace.__name__.rpartition(".")[2] for namespace in (kind, xp, of_levels)]
        raise ValueError(f"value, z and levels must be all of NumPy or all of torch, got {kinds}")
    if value.shape != z.shape:
        raise ValueError(
            f"value and z must have one shape, got {tuple(value.shape)} and {tuple(z.shape)}"
        )
    require_levels_fit(log_snr, z)
    if kind is np:
        log_snr = in_numpy(log_snr)  # a single level may have come as a tensor
    a, s = alpha(log_snr), sigma(log_snr)

    if source == "x":
        x, eps = value, (z - a * value) / s
    elif source == "v":
        x, eps = a * z - s * value, s * z + a * value
    elif source == "velocity":
        x, eps = (z - s * value) / (a + s), (z + a * value) / (a + s)
    else:
        eps = -s * value if source == "score" else value
        x = (z - s * eps) / a

    if source == target:
        return value
    return {
        "x": lambda: x,
        "eps": lambda: eps,
        "v": lambda: a * eps - s * x,
        "score": lambda: -eps / s,
        "velocity": lambda: eps - x,
    }[target]()


@finite_result
def eps_loss_to(target, log_snr):
    """Return the factor that turns ‖ε − ε̂‖² into the same prediction's loss under another name.

    x: e^{−λ}; score: σ^{−2} = 1 + e^λ; v: 1 + e^{−λ}; velocity: (1 + e^{−λ/2})²; eps: 1. For
    levels of any shape; returns that shape. Raises ``ValueError`` for an unknown name and where the
    factor overflows (|λ| beyond 700 in float64).
    """
    require_known("prediction", target, NAMES, ALIASES)
    xp, log_snr = floating(log_snr)
    return {
        "x": lambda: xp.exp(-log_snr),
        "eps": lambda: xp.ones_like(log_snr),
        "v": lambda: 1 + xp.exp(-log_snr),
        "score": lambda: 1 + xp.exp(log_snr),
        "velocity": lambda: (1 + xp.exp(-log_snr / 2)) ** 2,
    }[target]()
