"""One prediction, five names: x, ε, v, score and velocity, and what each does to the loss.

Given the latent z = α x + σ ε at a known level, any one of these fixes all the others:
x (the clean data), ε (the noise), v = α ε − σ x, score = −ε/σ, velocity u = ε − x.
"""

from jaxtyping import Float
from numpy import ndarray

from course_utils._checks import require_known, require_levels_fit
from course_utils.schedules import alpha, sigma

NAMES = {  # each is p x + q ε, with (p, q) of α and σ:
    "x": lambda a, s: (1, 0),
    "eps": lambda a, s: (0, 1),
    "v": lambda a, s: (-s, a),
    "score": lambda a, s: (0, -1 / s),
    "velocity": lambda a, s: (-1, 1),
}
ALIASES = {"noise": "eps", "ε": "eps", "data": "x", "u": "velocity"}  # for advice only


def convert(
    value: Float[ndarray, "*shape"], z: Float[ndarray, "*shape"], log_snr, source="eps", target="v"
) -> Float[ndarray, "*shape"]:
    """Return the prediction ``value``, named ``source``, under the name ``target``.

    By Cramer's rule α x + σ ε = z and p x + q ε = value have the solution
    x = (q z − σ value)/(α q − σ p) and ε = (α value − p z)/(α q − σ p). ``log_snr`` is one level or
    [batch, 1] beside z [batch, d]. Raises ``ValueError`` for an unknown name and for shapes that do
    not fit. Source: Salimans & Ho 2022, appendix D, for v.
    """
    a, s = alpha(log_snr), sigma(log_snr)
    require_levels_fit(a, z, value)
    (p, q), (to_p, to_q) = _row(source, a, s), _row(target, a, s)
    det = a * q - s * p
    return (to_p * q - to_q * p) / det * z + (to_q * a - to_p * s) / det * value


def eps_loss_to(target, log_snr):
    """Return the factor that turns ‖ε − ε̂‖² into the same prediction's loss under another name.

    Since x − x̂ = −(σ/α) (ε − ε̂), it is (q − p σ/α)², for levels of any shape. Raises
    ``ValueError`` for an unknown name.
    """
    a, s = alpha(log_snr), sigma(log_snr)
    p, q = _row(target, a, s)
    return (q - p * s / a) ** 2


def _row(name, a, s):
    return NAMES[require_known("prediction", name, NAMES, ALIASES)](a, s)
