"""The sum-of-ELBOs panel: both sides of S5, computed apart, for any w moved by hand."""

import numpy as np

from course_utils.datasets import galaxies, galaxy_velocities, km_per_s, velocity_scale
from course_utils.elbo import elbo_parts, negative_share, weighted_loss
from course_utils.panels._galaxies import density, error_curve
from course_utils.panels._view import moving_line
from course_utils.panels._view import old_view as view
from course_utils.panels._weighting_controls import weighting, weighting_controls
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN
from course_utils.weightings import is_monotone, level_masses
from course_utils.widgets import figures
from course_utils.widgets.old_controls import choice, slider

ALT = (
    "Four plots. Top left: the weighting w over log-SNR, divided by its largest value, and the "
    "density of p_w, the rate at which w rises in time, hatched where it is negative. Top right: "
    "the left side of S5, half of w times the error of the noise prediction; its area is the "
    "weighted loss. Bottom right: the other side, p_w times the ELBO term L, with the atom at the "
    "data end and the hidden constant at the noise end as bars of the same scale; its total area "
    "is the same number. Bottom left: the galaxies' density smoothed at six levels drawn from p_w, "
    "one layer a level, with a minus where p_w is negative."
)
LAYERS = 6
BAR = 1.2  # width of the bars for the atom and the constant, in units of λ: area = mass
CELLS = 400  # cells in which p_w is drawn
COARSE = (1, 2, 5, 10)  # where the vertical axes may end, times powers of ten
VELOCITIES = np.linspace(5, 37, 800)  # 1000 km/s
UNITS = (1000 * VELOCITIES - galaxy_velocities().mean()) / velocity_scale()


def controls():
    """Return the panel's controls."""
    return {
        **weighting_controls("sigmoid"),
        "model": choice(
            "model",
            [("right: the data themselves", "right"), ("wrong: three broad clusters", "wrong")],
        ),
        "galaxy": slider("galaxy (0: all)", 0, 82, 1, 0),
        "log_snr_min": slider("λ_min", LOG_SNR_MIN, 0.0, 0.5, LOG_SNR_MIN),
        "log_snr_max": slider("λ_max", 1.0, LOG_SNR_MAX, 0.5, LOG_SNR_MAX),
    }


def compute(objective, shift, monotone_lock, gains, model, galaxy, log_snr_min, log_snr_max):
    """Return the numbers, and what is drawn of both sides.

    w and ½ w e at the levels of ``grid`` [401]; in its cells p_w and p_w L [400]; the areas of the
    atom and of the constant; six layers of p_w with their names and signs.
    """
    span = (log_snr_min, log_snr_max)
    w = weighting(objective, shift, monotone_lock, gains, *span)
    errors = error_curve(model, galaxy)
    left = weighted_loss(w, errors, *span)
    parts = elbo_parts(w, errors, *span)
    right = sum(parts)
    bound = (left.bound + sum(part.bound for part in parts)) / abs(left)
    cells, atom = level_masses(w, np.linspace(*span, 4001))
    monotone = is_monotone(w, *span)
    numbers = {
        "weighted_loss": left,
        "sum_of_elbos": right,
        "residual": abs(left - right) / abs(left),
        "bound": bound,
        "agreement": f"residual below {_power_above(abs(left - right) / abs(left))} of |L_w|, "
        f"where the bounds of both sides allow {_power_above(bound)}",
        "constant": -parts[2],
        "atom": atom,
        "positive": float(np.maximum(cells, 0).sum()) + atom,
        "negative": 0.0 if monotone else -float(np.minimum(cells, 0).sum()),
        "verdict": "w is monotone: an average of ELBOs of noised data, less a constant"
        if monotone
        else "w is not monotone: a signed sum, no bound; ELBO terms with a minus sign amount to "
        f"{negative_share(w, errors, *span):.2%} of L_w",
    }
    grid = np.linspace(*span, CELLS + 1)
    heights = w(grid)
    e, kl = errors.at(grid)
    masses, atom = level_masses(w, grid)
    rate = masses / np.diff(grid)
    centres = (grid[:-1] + grid[1:]) / 2
    levels, signs = _layers(masses, atom, centres, grid[-1])
    named = zip(levels, signs, strict=True)
    arrays = {
        "grid": grid,
        "heights": heights,
        "half": heights * e / 2,
        "centres": centres,
        "rate": rate,
        "product": rate * (kl[:-1] + kl[1:]) / 2,
        "atom": atom * kl[-1],
        "constant": heights[0] * kl[0],
        "layers": [density(UNITS, galaxies()[:, 0], np.exp(-level / 2)) for level in levels],
        "names": [_layer_words(level, sign, grid[-1]) for level, sign in named],
        "signs": signs,
    }
    return numbers, arrays


def _power_above(share):
    """The next power of ten, 1e-9 at least: the digits of rounding differ between machines."""
    return f"{10.0 ** np.ceil(np.log10(max(share, 1e-9))):.0e}"


def _layers(masses, atom, centres, top):
    """Levels at the middle of equal parts of |p_w|, the noisiest first, and the sign there."""
    sizes = np.append(np.abs(masses), atom)
    levels, signs = np.append(centres, top), np.append(np.sign(masses), 1)
    parts = (np.arange(LAYERS) + 0.5) / LAYERS * sizes.sum()
    index = np.minimum(np.searchsorted(np.cumsum(sizes), parts), len(levels) - 1)
    return levels[index], signs[index]


def _layer_words(level, sign, top):
    km_s = f"{float(f'{km_per_s(level):.2g}'):,.0f} km/s"
    if level == top:
        return f"atom: {km_s}"
    at = f"λ {level:.1f}".replace("-", "−")
    return f"{'' if sign > 0 else '− '}{at}: {km_s}"


def drawing():
    """Return the figure, and the function that shows what was computed in it."""
    figure, axes = figures.new_figure(
        2, 2, size=(9.4, 5.4), width_ratios=[1, 1.25], height_ratios=[1, 1.15]
    )
    (of_w, of_loss), (of_layers, of_sum) = axes
    edge = BAR + 1.0
    low, high = LOG_SNR_MIN - edge, LOG_SNR_MAX + edge
    figures.level_axis(of_w, LOG_SNR_MIN, LOG_SNR_MAX)
    figures.title(of_w, "the weighting w(λ) and its $p_w$")
    of_w.set(ylim=(-0.55, 1.12))
    of_w.axhline(0, color="black", lw=0.6)
    p_w = figures.SignedArea(
        of_w, "mixture", label="$p_w$", negative_label="$p_w$ < 0", moving=True
    )
    w_line = moving_line(of_w, "weight")
    w_line.set_label("w")
    of_w.legend(handles=[w_line, p_w.above, p_w.below], loc="lower right", ncols=3)
    for ax in (of_loss, of_sum):
        figures.level_axis(ax, low, high)
        ax.axhline(0, color="black", lw=0.6)
        ax.set_ylabel("nats per unit of λ")
    of_loss.set_xlabel("")
    figures.title(of_loss, "left side of S5: ½ w(λ) e(λ)")
    figures.title(of_sum, "right side: $p_w$(λ) L(λ), with atom and constant")
    loss = figures.SignedArea(of_loss, "data", moving=True)
    total = figures.SignedArea(of_sum, "mixture", moving=True)
    atom_bar = figures.SignedArea(of_sum, "mixture", moving=True)
    constant_bar = figures.SignedArea(of_sum, "mixture", moving=True)
    words = [
        of_loss.text(0.12, 0.9, "", transform=of_loss.transAxes, animated=True),
        of_sum.text(0.12, 0.9, "", transform=of_sum.transAxes, animated=True),
    ]
    for x, word in [(high - edge / 2, "atom"), (low + edge / 2, "const.")]:
        of_sum.text(x, 0.9, word, ha="center", transform=of_sum.get_xaxis_transform(), fontsize=8.5)

    ridges = figures.Ridges(of_layers, LAYERS, VELOCITIES, moving=True)
    figures.title(of_layers, "the galaxies, smoothed at six levels of $p_w$")
    of_layers.set(xlabel="velocity z/α, 1000 km/s", xticks=[10, 20, 30])
    of_sum.set_ylim(-0.02, 0.15)  # the widest tick labels that occur, to leave room for them
    bar = (edge - BAR) / 2 + np.array([0.0, 0.0, BAR, BAR])
    shape = np.array([0, 1, 1, 0]) / BAR

    def show(
        numbers, grid, heights, half, centres, rate, product, atom, constant, layers, names, signs
    ):
        w_line.set_data(grid, heights)
        p_w.set(centres, rate)
        loss.set(grid, half)
        total.set(centres, product)
        atom_bar.set(LOG_SNR_MAX + bar, atom * shape)
        constant_bar.set(LOG_SNR_MIN - bar[::-1], -constant * shape)
        tallest = max(half.max(), product.max(), atom / BAR, 1e-3)
        deepest = max(-product.min(), constant / BAR)
        # Few limits, and the lower bound to the upper: each change costs a full redraw.
        top = figures.snapped_limit(tallest * 1.1, COARSE)
        bottom = -top * 2.0 ** max(-3, np.ceil(np.log2(max(1.05 * deepest / top, 1e-9))))
        figures.set_limits(of_loss, y=(bottom, top))
        figures.set_limits(of_sum, y=(bottom, top))
        swing = 1.12 * figures.snapped_limit(max(1.0, np.abs(rate).max()), COARSE)
        figures.set_limits(of_w, y=(-swing if rate.min() < -0.5 else -0.55 * swing, swing))
        words[0].set_text(f"area {numbers['weighted_loss']:.6f}")
        words[1].set_text(f"area {numbers['sum_of_elbos']:.6f}")
        ridges.set(layers, names, ["data" if sign > 0 else "negative" for sign in signs])

    return figure, show


panel, picture = view(
    controls,
    compute,
    drawing,
    alt=ALT,
    formats={
        "weighted_loss": "½∫ w e dλ = {:.6f} nats",
        "sum_of_elbos": "∫ L dw + atom − constant = {:.6f} nats",
        "residual": None,
        "bound": None,
        "agreement": "{}",
        "constant": "constant w(λ_min) L(1) = {:.2g} nats",
        "atom": "atom w(λ_max) = {:.4f}",
        "positive": "p_w: positive mass {:.4f}",
        "negative": "negative mass {:.4f}",
        "verdict": "{}",
    },
)
