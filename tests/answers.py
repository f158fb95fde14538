"""Answers readers give: RIGHT must pass; one that is WRONG, and no listed mistake, must not."""

import numpy as np
from scipy import stats
from scipy.integrate import cumulative_simpson, quad
from scipy.linalg import solve_discrete_lyapunov
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm

from course_utils.elbo import ErrorCurve, weighted_loss
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import published
from course_utils.predictions import eps_loss_to
from course_utils.samplers import ddim_coefficients
from course_utils.schedules import Cosine, FlowMatching, alpha, sigma


def _by_denoising(n):
    """exp of half the area, from errors alone."""
    law = GaussianMixture(n / n.sum(), np.arange(len(n))[:, None], 0 * n)
    curve = ErrorCurve.from_mixtures(law, log_snr=(-16, 24), tolerance=1e-5)
    return np.exp(weighted_loss(np.ones_like, curve))


def _contributions_by_recursion(betas):
    """Follows the variance of each draw through all later steps."""
    shares = []
    for beta in betas:
        shares = [(1 - beta) * share for share in shares] + [beta]
    return shares


def _joined(betas, n_steps):
    return 1 - np.prod(1 - betas.reshape(n_steps, -1), axis=1)


def _by_brute_force(beta, t, n=100_000):
    """The θ whose error of log ᾱ is zero for many steps, found by trying."""
    exact = quad(lambda tau: float(beta(tau)), 0, t)[0]

    def error(theta):
        points = (np.arange(round(t * n)) + theta) / n
        return np.log1p(-beta(points) / n).sum() + exact

    return brentq(error, -100, 100)


def by_chain_rule(eps_hat, log_snr, spread, h=1e-4):
    """The slope of log q along one galaxy's own density, a Gaussian in km/s, by a difference."""
    blur = spread * sigma(log_snr) / alpha(log_snr)
    y = blur * eps_hat  # the galaxy at 0
    step = h * blur
    return (norm.logpdf(y + step, 0, blur) - norm.logpdf(y - step, 0, blur)) / (2 * step)


def with_eta(eta):
    def answer(z, eps_hat, noise, log_snr, log_snr_to):
        step = ddim_coefficients(log_snr, log_snr_to, eta)
        return step.keep * z + step.eps_hat * eps_hat + step.noise * noise

    return answer


def _stop(error, low, high, candidates):
    """With a loop, and the costs through the SNRs and x̂'s error."""

    def step(t, s):
        return 0.5 * (np.exp(s) - np.exp(t)) * np.exp(-t) * float(error(t))

    return min(((c, step(low, c) + step(c, high)) for c in candidates), key=lambda pair: pair[1])


def _two_equations(n, coarse, fine, tolerance):
    limit, c = np.linalg.solve([[1, 1 / n], [1, 1 / (2 * n)]], [coarse, fine])
    return [limit, int(c / tolerance) + 1]


def _interpolated(log_snr, error, accuracy):
    nats = cumulative_simpson(error, x=log_snr, initial=0) / 2
    return np.interp(-accuracy, -np.sqrt(np.exp(-log_snr) * error), nats)


def _nearest(log_snr, error, accuracy):
    k = np.argmin(np.abs(np.exp(-log_snr / 2) * np.sqrt(error) - accuracy))
    return np.trapezoid(error[: k + 1], log_snr[: k + 1]) / 2


def _by_density(t, coefficient, old, new):
    level = new.log_snr(t)
    return coefficient(old.time(level)) * old.density(level) / new.density(level)


def _at_zero(w):
    return lambda log_snr, *rest: w(log_snr, *rest) / w(np.zeros(1), *rest)


def _cosine_v(log_snr):
    return Cosine().density(log_snr) * eps_loss_to("v", log_snr)


def _min_snr_v(log_snr, gamma):
    w = published("min_snr", min_snr_gamma=gamma).implied_weighting()
    return w(log_snr) / _cosine_v(log_snr)


def _by_search(log_snr, k):
    """Of many γ the one whose w has its largest value nearest to the level."""
    levels = np.linspace(log_snr - 0.5, log_snr + 0.5, 4001)
    gammas = np.linspace(0, 3, 3001)
    log_p, log_k = -np.log(np.cosh(levels / 2)), np.log(k + np.exp(levels))
    peaks = [levels[np.argmax(log_p - gamma * log_k)] for gamma in gammas]
    return np.interp(-log_snr, -np.array(peaks), gammas)


def _sd3_of_time(log_snr, mean, sd, power=2):
    """From the law of t: p(λ) = p(t) |dt/dλ|, and u's factor is (1 − t)^{−2}."""
    t = expit(-log_snr / 2)
    density_of_time = norm.pdf(logit(t), mean, sd) / (t * (1 - t))
    return density_of_time * t * (1 - t) / 2 * (1 - t) ** -power


def _summed(w, L):
    steps = [(w[i] - w[i - 1]) * L[i] for i in range(1, len(w))]
    total = w[0] * L[0] + sum(steps) - w[-1] * L[-1]
    return total, -sum(step for step in steps if step < 0) / total


def _where_w_has_fallen(u, b, low, high):
    """w = sigmoid(b − λ) drawn finely; below the range's end it has fallen by a share u."""
    levels = np.linspace(low, high, 1_000_001)
    return np.interp(u, 1 - expit(b - levels) / expit(b - low), levels)


def _sech(t, b):
    return 1 / np.cosh((Cosine().log_snr(t) - b) / 2)


def _difference(t, b, step=1e-5):
    return (_sech(t + step, b) - _sech(t - step, b)) / (2 * step)


def _accumulated(gram, cross, w, ridge):
    matrix, right = ridge * np.eye(cross.shape[1]), np.zeros(cross.shape[1])
    for a, b, weight in zip(gram, cross, w, strict=True):
        matrix += weight * a / len(w)
        right += weight * b / len(w)
    return np.linalg.inv(matrix) @ right


def _library(ours, others):
    interval = stats.ttest_rel(ours.mean(axis=1), others.mean(axis=1)).confidence_interval(0.95)
    return (ours - others).mean(), interval.low, interval.high


def _floors(pairs):
    return np.array([stats.wasserstein_distance(a, b) for a, b in pairs])


def _all_pairs(pairs, distance):
    floor = _floors(pairs)
    return floor.mean(), (distance - floor.mean()) / floor.std(ddof=1)


def _by_the_library(spread, by):
    """Made-up differences with exactly this spread, and their interval from the library."""
    for n in range(2, 10_000):
        d = np.linspace(-1, 1, n)
        d *= spread / d.std(ddof=1)
        interval = stats.ttest_1samp(d, 0).confidence_interval(0.95)
        if (interval.high - interval.low) / 2 <= by:
            return n
    return None


def _judged(differences, primary, by):
    interval = stats.ttest_1samp(differences[primary], 0).confidence_interval(0.95)
    if interval.high <= -by:
        return "supported"
    return "undecided" if interval.low <= -by else "not supported"


def _claimed(d):
    """One look after another, all trials at once, by the library."""
    looks = [stats.ttest_1samp(d[:, :n], 0, axis=1).pvalue for n in range(2, d.shape[1] + 1)]
    return np.mean(np.min(looks, axis=0) < 0.05)


def _undominated(bits, eta0, eta1):
    points = np.stack([bits, eta0, eta1], axis=1)
    return [not any((p <= q).all() and (p != q).any() for p in points) for q in points]


# exercise: other ways to its answer
RIGHT = {
    "00.1": [_by_denoising],
    "00.2": [lambda z, t: (FlowMatching().log_snr(t), z * sigma(FlowMatching().log_snr(t)) / t)],
    "00.3": [lambda blur, spread: np.log(spread**2 / blur**2)],
    "01.1": [lambda a, b: solve_discrete_lyapunov(np.diag(a), np.diag(b**2)).diagonal()],
    "01.2": [_contributions_by_recursion],
    "01.3": [lambda betas: np.prod(np.exp(-(betas**2) / 2))],
    "01.4": [_joined],
    "01.5": [lambda a, b: 1 / (a / (b - a) + 1 / (1 - b))],  # precisions add up
    "02.1": [lambda power, random: power - 1 + random / 2],
    "02.2": [lambda B: 1 - np.exp(-B)[1:] / np.exp(-B)[:-1]],
    "02.3": [_by_brute_force],
    "02.4": [lambda beta: (beta / 2) * (2 - beta / 2)],
    "03.1": [(4, 1), [4, 1.0], np.array([4, 1]), lambda: (4, [1.0])],
    "03.2": [by_chain_rule],
    "03.3": [lambda z, s, b, eta: -b / 2 * (z + s) - eta**2 * b / 2 * s],
    "03.4": [with_eta(1.0)],
    "04.1": [_stop],
    "04.2": [_two_equations],
    "04.3": [lambda t: -0.5 * (Cosine().log_snr(t + 1e-5) - Cosine().log_snr(t - 1e-5)) / 2e-5],
    "04.4": [_nearest, _interpolated],
    "04.5": [_by_density],
    "05.1": [_at_zero(_cosine_v)],
    "05.2": [_min_snr_v],
    "05.3": [_by_search],
    "05.4": [_at_zero(_sd3_of_time)],
    "05.5": [lambda s, sd: -2 * np.log(np.exp(-s / 2) / sd)],
    "05.6": [lambda b, g: np.exp(np.minimum(0, np.log(g * np.expm1(-np.cumsum(np.log1p(-b))))))],
    "06.1": [_summed],
    "06.2": [lambda t, w: [(w[1:] - w[:-1]) / w.max(), 1 - np.diff(w).sum() / w[-1]]],
    "06.3": [_where_w_has_fallen],
    "06.4": [lambda log_snr, w: [max(w[i:]) for i in range(len(w))]],
    "06.5": [_difference],
    "07.1": [lambda c, w: (c, np.average(c, weights=w))],
    "07.2": [_accumulated],
    "07.3": [_library],
    "07.4": [_all_pairs],
    "08.1": [_by_the_library],
    "08.2": [_judged, lambda *given: _judged(*given).upper()],
    "08.3": [_claimed],
    "08.4": [_undominated],
}

# exercise: an answer that is wrong
WRONG = {
    "00.1": lambda n: np.exp(-np.log(n / n.sum()).sum()),
    "00.2": lambda z, t: (2 * np.log((1 - t) / t), z),
    "00.3": lambda b, s: np.log(s / b),
    "01.1": lambda decay, noise: noise / decay,
    "01.2": lambda betas: betas,
    "01.3": lambda betas: np.exp(-0.5 * betas**2),
    "01.4": lambda betas, n: _joined(betas, n)[::-1],
    "01.5": lambda noisy, clean: 1 - noisy / clean,
    "02.1": lambda power, random: power - random / 2,
    "02.2": lambda B: 1 - np.exp(-(np.diff(B) ** 2)),
    "02.3": lambda beta, t: 0.5 - beta(t) / 4,
    "02.4": lambda beta: 1 - beta,
    "03.1": (4, 0.3),
    "03.2": lambda e, lam, spread: -e / (spread * np.exp(lam)),
    "03.3": lambda z, s, b, eta: -0.5 * b * z - 0.5 * b * s + eta * np.sqrt(b),
    "03.4": with_eta(0.7),
    "04.1": lambda e, low, high, c: (np.median(c), _stop(e, low, high, [np.median(c)])[1]),
    "04.2": lambda n, coarse, fine, tol: (2 * fine - coarse, 2 * n),
    "04.3": lambda t: np.pi / np.sin(np.pi * t / 2),
    "04.4": lambda x, e, accuracy: np.trapezoid(e[x < 0], x[x < 0]) / 2,
    "04.5": lambda t, c, old, new: -0.5 * new.log_snr_rate(t),
    "05.1": lambda s: np.exp(-s / 2) / 2,
    "05.2": lambda s, g: np.minimum(np.exp(-s), g) / (np.exp(-s) + 1),
    "05.3": lambda s, k: np.tanh(s / 2) * (k + np.exp(s)),
    "05.4": _at_zero(lambda s, m, sd: _sd3_of_time(s, m, sd, power=-2)),
    "05.5": lambda s, sd: s + 0.5 * np.log(sd),
    "05.6": lambda b, g: np.minimum(np.cumprod(1 - b), g) / np.cumprod(1 - b),
    "06.1": lambda w, L: (_summed(w, L)[0] + (w[-1] - 1) * L[-1], _summed(w, L)[1]),
    "06.2": lambda t, w: (np.diff(w)[::-1] / w[-1], w[0] / w[-1]),
    "06.3": lambda u, b, low, high: np.minimum(b - (1 - u) * expit(b - low), high),
    "06.4": lambda log_snr, w: np.where(log_snr < log_snr[np.argmax(w)], 1.0, w),
    "06.5": lambda t, b: -np.tanh((Cosine().log_snr(t) - b) / 2) * _sech(t, b) / 2,
    "07.1": lambda c, w: (w * c, np.sum(w * c) / np.sum(w)),
    "07.2": lambda gram, cross, w, ridge: _accumulated(gram, cross, w / w.sum(), ridge),
    "07.3": lambda ours, others: (_library(ours, others)[0], *_library(ours, others)[:0:-1]),
    "07.4": lambda pairs, distance: (_floors(pairs).mean(), distance - _floors(pairs).mean()),
    "08.1": lambda spread, by: round((2 * spread / by) ** 2),
    "08.2": lambda d, row, by: "supported" if np.all(d[row] < -by) else "undecided",
    "08.3": lambda d: 0.05,
    "08.4": lambda bits, eta0, eta1: (bits < bits.mean()).astype(int),
}
