"""Draw the deck's figures and compute its numbers: ``python slides/figures.py``.

Every figure is a function of the course's code alone, written to ``figures/NAME.svg``; every number
that a slide quotes is an entry of ``numbers.json``, which the build puts where the source says
{{name}}. Both come out byte by byte the same at each run, so that a test sees what has drifted.
``panels.json`` is what the panel in deck.html needs.
"""

import io
import json
import re
import sys
from decimal import Decimal
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from scipy.special import expit

from course_utils import distances, forward, samplers
from course_utils.datasets import (
    digits,
    galaxies,
    galaxy_velocities,
    km_per_s,
    planar_law,
    velocity_scale,
)
from course_utils.elbo import (
    ErrorCurve,
    discretisation_gap,
    elbo_parts,
    elbo_terms,
    gap_constant,
    negative_share,
    path_and_marginal_kl,
    step_kl,
    sum_of_elbos,
    weighted_loss,
)
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import PUBLISHED
from course_utils.panels import chain as chain_panel
from course_utils.panels import counting as counting_panel
from course_utils.panels import elbo as elbo_panel
from course_utils.panels import half_a_nat, retraining, reverse
from course_utils.panels import sum_of_elbos as sum_of_elbos_panel
from course_utils.panels._galaxies import noise_error
from course_utils.schedules import (
    Cosine,
    FlowMatching,
    LinearBeta,
    LinearLogSnr,
    alpha,
    alpha_bar,
    ddpm_betas,
    discrete_betas,
    log_snr_from_alpha_bar,
    sigma,
)
from course_utils.training import study
from course_utils.variance import ErrorMoments, adaptive_schedule, draw_variance, least_variance
from course_utils.weightings import is_monotone, level_masses, peak, sigmoid
from course_utils.widgets import figures, still

HERE = Path(__file__).parent
PX_PER_INCH = 195  # on a slide of 1280 × 720: 9 points of text are then 24 px
FULL, WIDE, HALF = (1160, 430), (1160, 380), (600, 430)  # px
INK = "#14212b"  # the theme's
LEVELS = np.linspace(-10, 10, 801)
STYLE = {
    "svg.hashsalt": "deck",
    "svg.fonttype": "path",
    "image.composite_image": False,
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}

FIGURES = {}
SLOW = set()  # those that take a second or more


def figure_of(px, rows=1, columns=1, slow=False, **options):
    """Register a function (figure, axes) → None as a figure of ``px`` on the slide."""

    def register(draw):
        def made():
            with figures.style(STYLE):
                size = (px[0] / PX_PER_INCH, px[1] / PX_PER_INCH)
                figure, axes = figures.new_figure(rows, columns, size=size, **options)
                draw(figure, axes)
            return figure

        FIGURES[draw.__name__] = made
        if slow:
            SLOW.add(draw.__name__)
        return draw

    return register


def svg(figure):
    """Return the figure as SVG text: no date, coordinates of two decimals, ids in order."""
    text = io.StringIO()
    with figures.style(STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"scale\([^)]*\)|\d+\.\d{3,}", _two_decimals, text.getvalue())
    # ids made of hashes depend on the last digit of every coordinate: number them instead
    hashes = dict.fromkeys(re.findall(r'id="([a-z]+[0-9a-f]{10})"', text))
    for i, old in enumerate(hashes):
        text = text.replace(old, f"i{i}")
    return text


def _two_decimals(found):
    if found[0].startswith("scale"):  # of glyphs: 0.105 must stay
        return found[0]
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")


def rounded(value, digits):
    """0.0123, 82.0000, 4540: so many significant digits."""
    return f"{Decimal(f'{value:.{digits - 1}e}'):f}"


def scientific(value, digits):
    """4.04·10^{−5}, as TeX."""
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return rf"{mantissa}\cdot10^{{{int(exponent)}}}"


# --- what several figures share ----------------------------------------------------------------


@cache
def data():
    return GaussianMixture.from_data(galaxies())


@cache
def curve():
    return ErrorCurve.from_mixtures(data())


@cache
def far_curve():
    """The same on levels so wide that nothing is cut off."""
    return ErrorCurve.from_mixtures(data(), log_snr=np.linspace(-16, 24, 161))


@cache
def weightings():
    return {key: o.implied_weighting().normalised() for key, o in PUBLISHED.items()}


def schedules():
    span = {"log_snr_min": -10.0, "log_snr_max": 10.0}
    return {
        "linear β": LinearBeta(**span),
        "cosine": Cosine(**span),
        "flow matching": FlowMatching(**span),
        "uniform λ": LinearLogSnr(**span),
    }


def velocity(x):
    """Standardised x as a velocity in 1000 km/s."""
    return (velocity_scale() * np.asarray(x) + galaxy_velocities().mean()) / 1000


def in_km_s(level, digits):
    """The blur at a level, in words: 4,540 km/s."""
    return f"{Decimal(rounded(km_per_s(level), digits)):,f} km/s"


def smoothed(level, x):
    """The galaxies' density at a level, of z/α at x."""
    return alpha(level) * np.exp(data().diffuse(level).log_prob(alpha(level) * x[:, None]))


# --- block 1: from the chain to the SDE ----------------------------------------------------------


def counted(leave_out=0):
    """The count of the counting panel, with one galaxy left out."""
    return counting_panel.compute(keep=82, leave_out=leave_out, squeeze=1)[0]["count"]


@figure_of((1160, 420), 2, 1, height_ratios=[1.6, 1])
def film(figure, axes):
    """A digit under one draw of noise at seven levels, and digits of a network of the study."""
    ink = mpl.colors.LinearSegmentedColormap.from_list("ink", ["white", INK])
    x, noise = digits()[0][0], np.random.default_rng(0).standard_normal(64)
    levels = (8, 4, 2, 0, -2, -4, -8)
    noised = [alpha(s) * x + sigma(s) * noise for s in np.array(levels, float)]
    drawn = study.load_sheets()["sigmoid_2", 1200, 1.0] / 8 - 1
    for ax, images in zip(axes, (noised, drawn), strict=True):
        for i, image in enumerate(images):
            picture = np.reshape(image, (8, 8))
            ax.imshow(picture, cmap=ink, vmin=-1.5, vmax=1.5, extent=(9 * i, 9 * i + 8, 0, 8))
        ax.set(xlim=(-0.5, 9 * len(images)), ylim=(-0.5, 8.5))
        ax.axis("off")
    for i, level in enumerate(levels):
        axes[0].text(9 * i + 4, 9, f"λ = {level}".replace("-", "−"), ha="center")
    axes[1].text(0, 9.2, "drawn by a network, from noise alone")


@figure_of((1160, 320), 1, 2, width_ratios=[1, 1.5])
def counting(figure, axes):
    of_points, of_error = axes
    v = galaxy_velocities()
    cells = np.floor(v / 600)
    height = np.arange(82) - np.searchsorted(cells, cells)  # so many stand below it in its cell
    figures.line(of_points, 0.6 * cells + 0.3, height, "data", ls="", marker="o", ms=2.6)
    of_points.set(xlabel="velocity, 1000 km/s", xlim=(8, 36), ylim=(-0.7, 16), yticks=[])
    of_points.spines["left"].set_visible(False)
    figures.title(of_points, "82 galaxies, a dot each")
    levels = np.linspace(-16, 24, 161)
    half = noise_error(v / velocity_scale(), levels) / 2
    figures.signed_area(of_error, levels, half, "data")
    figures.level_axis(of_error, -16, 24)
    of_error.set(ylim=(0, 0.5), xticks=[-10, 0, 10, 20], ylabel="½ e(λ)")
    of_error.text(5, 0.13, f"area\n{np.log(counted()):.4f}", ha="center", fontsize=12)
    figures.title(of_error, "half the error of the best guess")


@figure_of((1160, 330), 1, 4, sharey=True)
def levels_of_noise(figure, axes):
    z = np.linspace(-4, 4, 800)
    for ax, level in zip(axes, (8.0, 4.0, 0.0, -4.0), strict=True):
        y = np.exp(data().diffuse(level).log_prob(z[:, None]))
        ax.fill_between(z, y / y.max(), color=figures.COLOURS["data"], alpha=0.35, lw=0)
        figures.line(ax, z, y / y.max(), "data", linewidth=1.5)
        ax.set(yticks=[], xticks=[-3, 0, 3], ylim=(0, 1.1), xlim=(-4, 4))
        ax.set_xlabel(f"z, blur {in_km_s(level, 3)}")
        figures.title(ax, f"λ = {level:.0f}".replace("-", "−"))
    axes[0].set_ylabel("density, scaled")


@figure_of((1160, 400), 1, 2, width_ratios=[2.1, 1], sharey=True)
def dissolving(figure, axes):
    of_map, of_end = axes
    bars = np.append(1.0, alpha_bar(ddpm_betas()))
    x = np.linspace(-4, 4, 241)
    shown = np.unique(np.geomspace(1, 1000, 200).astype(int))
    columns = [
        np.exp(data().diffuse(log_snr_from_alpha_bar(bars[t])).log_prob(x[:, None])) for t in shown
    ]
    tint = mpl.colors.LinearSegmentedColormap.from_list(
        "dissolving", ["white", "#BFDDF0", figures.COLOURS["data"], "#00263D"]
    )
    heights = np.array(columns).T
    norm = mpl.colors.PowerNorm(0.6, 0, 1)
    of_map.pcolormesh(
        shown, x, heights / heights.max(axis=0), cmap=tint, norm=norm, rasterized=True
    )
    figures.title(of_map, "density of $x_t$, each step on its own scale")
    of_map.set(xscale="log", xlabel="step t     ← data        noise →", ylabel="$x_t$")
    of_map.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    of_map.minorticks_off()
    for t, style in ((30, "-"), (200, "--"), (1000, ":")):
        y = np.exp(data().diffuse(log_snr_from_alpha_bar(bars[t])).log_prob(x[:, None]))
        of_end.plot(y, x, style, color=figures.COLOURS["data"], label=f"t = {t}")
    of_end.set(xlabel="density", xlim=(0, 1.6), xticks=[0, 0.8])
    of_end.legend(loc="lower right")
    figures.title(of_end, "three cuts")
    figure.get_layout_engine().set(wspace=0.05)


def chain_variances():
    right = forward.chain_steps(ddpm_betas())
    wrong = forward.GaussianSteps(right.decay, ddpm_betas())
    return [forward.state_moments(0.0, steps, variance=1.0)[1] for steps in (right, wrong)]


@figure_of(HALF)
def bug(figure, ax):
    looks = [("√β ξ", "data", "-"), ("β ξ", "negative", "--")]
    for v, (name, meaning, style) in zip(chain_variances(), looks, strict=True):
        figures.line(ax, np.arange(1001), v, meaning, label=f"noise {name}", ls=style)
    ax.set(ylim=(0, 1.15), xlabel="step t     ← data        noise →")
    ax.legend(loc="center right")
    figures.title(ax, "variance of $x_t$")


@figure_of(HALF)
def short_chain(figure, ax):
    long = alpha_bar(ddpm_betas())
    lists = [
        ("1000 steps", long, "exact", "-", (0.6, 0.06)),
        ("the first 100 of them", long[:100], "data", "--", (0.4, 1.06)),
        ("end values,\n100 steps", alpha_bar(ddpm_betas(100)), "model", ":", (0.46, 0.3)),
    ]
    for name, bars, meaning, style, place in lists:
        t = np.linspace(0, 1, len(bars) + 1)
        figures.line(ax, t, np.append(1, bars), meaning, ls=style)
        figures.line(ax, [1], bars[-1:], meaning, ls="", marker="o", clip_on=False)
        ax.text(*place, name)
    ax.set(ylim=(0, 1.2), xlabel="t / T", xlim=(0, 1.03))
    figures.title(ax, r"$\bar\alpha_t$, what is left of the datum")


@figure_of(WIDE, 1, 3)
def walks(figure, axes):
    rng, n = np.random.default_rng(1), 1024
    t = np.arange(1, n + 1) / n
    powers = ((1, "Δ", 0.1), (1 / 2, "√Δ", 3), (1 / 4, "√√Δ", 16))
    for ax, (a, name, top) in zip(axes, powers, strict=True):
        for walk in np.cumsum(rng.standard_normal((n, 12)) * n**-a, axis=0).T:
            figures.line(ax, t[7::8], walk[7::8], "data", linewidth=0.7)
        for sign in (-2, 2):
            figures.line(ax, t, sign * np.sqrt(t) * n ** (0.5 - a), "exact", ls="--", lw=1.3)
        figures.title(ax, f"steps of {name} · ξ")
        ax.set(xlabel="time", ylim=(-top, top), yticks=[-top, 0, top], xlim=(0, 1))


def at_the_end(rule, n):
    """N [log ᾱ + B] at t = 1 of the chain of n steps: by how much it misses the limit."""
    return n * (np.log(alpha_bar(discrete_betas(LinearBeta(), n, rule))[-1]) + 10.05)


@figure_of(HALF)
def error_line(figure, ax):
    n = np.array([30, 60, 120, 250, 500, 1000, 2000, 4000])
    looks = [("right", "negative", "o"), ("mid", "data", "s"), ("left", "model", "^")]
    for rule, meaning, mark in looks:
        limit = -error_constant(rule)
        off = [-at_the_end(rule, k) / k for k in n]
        figures.line(ax, n, off, meaning, ls="", marker=mark, ms=5, label=f"β at the {rule}")
        figures.line(ax, n, limit / n, "exact", ls="--", lw=1)
    ax.set(xscale="log", yscale="log", xlabel="number of steps N")
    ax.legend()
    figures.title(ax, "log ᾱ is too low by")


def error_constant(rule):
    return forward.error_constants(LinearBeta(), "chain", rule, 1.5, 1.0).log_decay


@figure_of(HALF)
def at_rest(figure, ax):
    b = np.array([0.1, 0.4, 0.7, 0.9])
    fine = np.linspace(0, 0.95, 100)
    kinds = [
        (forward.euler_maruyama_steps, 1 / (1 - fine / 4), "Euler–Maruyama", "s"),
        (forward.chain_steps, np.ones(100), "chain S1", "o"),
    ]
    for make_steps, predicted, name, mark in kinds:
        found = [forward.state_moments(0.0, make_steps(np.full(200, v)))[1][-1] for v in b]
        figures.line(ax, fine, predicted, "exact", linewidth=1.4)
        figures.line(ax, b, found, "model", label=name, ls="", marker=mark, ms=8)
    ax.set(xlabel="βΔ", ylim=(0.95, 1.35))
    ax.legend(loc="upper left")
    figures.title(ax, "variance at rest, after 200 steps")


def block_1():
    long, spread = alpha_bar(ddpm_betas()), alpha_bar(ddpm_betas(100))[-1]
    right, wrong = chain_variances()
    return {
        "count_all": rounded(counted(), 6),
        "count_less": rounded(counted(leave_out=57), 6),
        "log_82": rounded(np.log(82), 5),
        "scale": rounded(velocity_scale(), 4),
        "abar_end": scientific(long[-1], 5),
        "abar_exp": scientific(np.exp(-ddpm_betas().sum()), 5),
        "abar_ratio": rounded(long[-1] / np.exp(-ddpm_betas().sum()), 4),
        "abar_spread": rounded(spread, 3),
        "abar_first": rounded(long[99], 3),
        "kl_spread": rounded(-np.log1p(-spread) / 2, 2),
        "tv_spread": rounded(
            chain_panel.compute("ddpm", "root", 100, 1.0)[0]["total_variation"], 2
        ),
        "var_spread": rounded(1 + spread * (4 - 1), 3),
        "needle_variance": rounded(wrong[-1], 2),
        "needle_width": rounded(np.sqrt(wrong[-1]), 2),
        "kept_variance": rounded(right[-1], 4),
        **{f"constant_{r}": rounded(error_constant(r), 4) for r in ("right", "mid", "left")},
    }


# --- block 2: back in time, and the ELBO ---------------------------------------------------------

LEVEL = 2.0  # of the fit


def features(z, k):
    centres = np.linspace(-3, 3, k)
    bumps = np.exp(-0.5 * ((z - centres) * (k - 1) / 6) ** 2)
    return np.hstack([np.ones_like(z), z, bumps])


@cache
def fits():
    """Noisy pairs that were not trained on, and for each number of bumps: the fit and its loss."""
    rng = np.random.default_rng(0)

    def pairs(n):
        x, eps = data().sample(n, rng), rng.standard_normal((n, 1))
        return alpha(LEVEL) * x + sigma(LEVEL) * eps, eps

    (z, eps), fresh = pairs(50_000), pairs(200_000)
    found = {}
    for k in (0, 2, 4, 8, 16):
        theta = np.linalg.lstsq(features(z, k), eps, rcond=None)[0]
        found[k] = theta, np.mean((fresh[1] - features(fresh[0], k) @ theta) ** 2)
    return fresh, found


@figure_of(FULL, 1, 2, width_ratios=[1.7, 1], slow=True)
def fitted(figure, axes):
    of_fit, of_loss = axes
    fresh, found = fits()
    z = np.linspace(-3.6, 3.6, 181)[:, None]
    dots = {"ms": 2.5, "color": figures.COLOURS["noise"], "alpha": 0.5, "rasterized": True}
    of_fit.plot(*(part[:1500] for part in fresh), ".", **dots)
    for k, style in [(0, ":"), (4, "--"), (16, "-")]:
        fit = (features(z, k) @ found[k][0])[:, 0]
        figures.line(of_fit, z[:, 0], fit, "model", label=f"{k} bumps", ls=style)
    exact = data().eps(z, LEVEL)[:, 0]
    figures.line(of_fit, z[:, 0], exact, "exact", label="exact ε*", lw=1.2)
    of_fit.set(xlim=(-3.6, 3.6), ylim=(-6.5, 3.2), xlabel="latent z", ylabel="noise ε")
    of_fit.legend(loc="lower right", ncols=2)
    figures.title(of_fit, "the pairs (z, ε) at λ = 2, and three fits")
    losses = [loss for _, loss in found.values()]
    figures.line(of_loss, list(found), losses, "model", marker="o", label="on fresh pairs")
    of_loss.axhline(floor(), color="black", lw=1.2, label="floor")
    of_loss.set(xlabel="bumps", ylim=(0.55, 0.95))
    of_loss.legend()
    figures.title(of_loss, "mean of $(ε-\\hat ε)^2$")


def floor():
    return float(curve().at(LEVEL)[0])


LOW, HIGH = -10.0, 4.0


@cache
def paths():
    """The exact score at work: states of the reverse SDE and of the flow ODE [201, 3000, 1]."""
    rng = np.random.default_rng(1)
    start, grid = rng.standard_normal((3000, 1)), np.linspace(LOW, HIGH, 201)
    steppers = {"reverse SDE": samplers.reverse_sde_step, "flow ODE": samplers.euler_step}
    return grid, {
        name: np.stack(list(samplers.sample_states(data().eps, grid, start, step, rng)))
        for name, step in steppers.items()
    }


@figure_of((1160, 460), 1, 3, width_ratios=[1, 1, 1.1], slow=True)
def two_ways_back(figure, axes):
    grid, made = paths()
    bins, x = np.linspace(5, 38, 67), np.linspace(-4.2, 4.2, 400)
    late = grid >= -3  # before, z/α is too wide to be drawn with the galaxies
    looks = [("model", "-"), ("data", "--")]
    for ax, (name, path), (meaning, style) in zip(axes, made.items(), looks, strict=False):
        seen = velocity(path[late, :40, 0] / alpha(grid[late])[:, None])
        ax.plot(grid[late], seen, color=figures.COLOURS[meaning], lw=0.6)
        figures.level_axis(ax, -3, HIGH)
        ax.set(ylim=(-20, 60), yticks=[0, 20, 40], xticks=[-2, 0, 2, 4])
        ax.set_xlabel("log-SNR λ     data →")
        figures.title(ax, f"{name}: 40 paths")
        ends = velocity(path[-1, :, 0] / alpha(HIGH))
        heights = np.histogram(ends, bins, density=True)[0]
        axes[2].stairs(heights, bins, ls=style, label=name, color=figures.COLOURS[meaning], lw=1.6)
    axes[0].set_ylabel("velocity z/α, 1000 km/s")
    law = smoothed(HIGH, x) * 1000 / velocity_scale()
    figures.line(axes[2], velocity(x), law, "exact", label="exact law", lw=1.2)
    axes[2].set(xlim=(5, 38), ylim=(0, 0.27), yticks=[], xlabel="velocity, 1000 km/s")
    axes[2].legend(loc="upper right")
    figures.title(axes[2], "3000 ends of each")


@figure_of(HALF, slow=True)
def photocopier(figure, ax):
    tops = [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
    for meaning, style, width in [("negative", "o-", 0.0), ("exact", "s--", 300.0)]:
        label = "82 bare points" if width == 0 else "widened to 300 km/s"
        colour = figures.COLOURS[meaning]
        ax.semilogy(tops, [copied(width, top) for top in tops], style, color=colour, label=label)
    ax.axhline(1000 * neighbours(), color=figures.COLOURS["noise"], ls=":", label="real neighbours")
    ax.set(xlabel="$λ_{max}$, where the sampler stops", ylabel="km/s", ylim=(0.02, 200))
    ax.legend(loc="lower left")
    figures.title(ax, "median distance to a galaxy")


def neighbours():
    x = galaxies()
    return velocity_scale() / 1000 * np.median(np.sort(np.abs(x - x.T), axis=1)[:, 1])


@cache
def copied(width, top):
    """Median distance in km/s of 1000 DDIM samples of the exact score to the nearest galaxy."""
    mixture = GaussianMixture.from_data(galaxies(), bandwidth=width / velocity_scale())
    start = np.random.default_rng(1).standard_normal((1000, 1))
    z = samplers.sample(mixture.eps, np.linspace(LOW, top, 97), start)
    x = mixture.denoise(z, top)
    return float(np.median(velocity_scale() * np.abs(x - galaxies().T).min(axis=1)))


@figure_of((1160, 340), 1, 3, sharey=True, slow=True)
def step_bars(figure, axes):
    for ax, n in zip(axes, (8, 16, 32), strict=True):
        levels = np.linspace(10, -10, n + 1)
        costs = elbo_terms(levels, data()).diffusion
        figures.level_axis(ax, -10, 10)
        bars = ax.stairs(costs[::-1] * n / 20, levels[::-1], fill=True, alpha=0.6, ec="none")
        bars.set_facecolor(figures.COLOURS["level"])
        figures.line(ax, curve().log_snr, curve().noise_error / 2, "exact", label="½ e(λ)")
        figures.title(ax, f"T = {n}: {costs.sum():.2f} nats")
        ax.set_xlabel("log-SNR λ")
    axes[0].set_ylabel("nats per unit of λ")
    axes[0].legend(loc="upper left")


@figure_of(HALF, slow=True)
def rise(figure, ax):
    kl = far_curve()
    figures.line(ax, kl.log_snr, kl.path_kl, "exact")
    ax.axhline(np.log(82), ls=":", color=figures.COLOURS["data"], lw=2)
    ax.text(-15, np.log(82) - 0.12, "log 82", va="top", color=figures.COLOURS["data"], fontsize=12)
    figures.level_axis(ax, -16, 24)
    ax.set(ylim=(0, 4.8), xticks=[-10, 0, 10, 20])
    figures.title(ax, "L(λ), nats")


@figure_of((1160, 400), 1, 2, width_ratios=[1.4, 1], slow=True)
def spread_of_estimates(figure, axes):
    of_p, of_variance = axes
    moments, one = ErrorMoments.from_mixtures(data()), np.ones_like
    made = {**schedules(), "adaptive": adaptive_schedule(one, moments)}
    styles = [("data", "-"), ("weight", "--"), ("negative", ":"), ("noise", "-."), ("exact", "-")]
    e = curve().at(LEVELS)[0]
    shade = {"color": figures.COLOURS["level"], "alpha": 0.35, "lw": 0}
    of_p.fill_between(LEVELS, e / 4.5, label="e, scaled", **shade)
    ratios = []
    for (name, schedule), (meaning, style) in zip(made.items(), styles, strict=True):
        figures.line(of_p, LEVELS, schedule.density(LEVELS), meaning, label=name, ls=style)
        ratios.append(draw_variance(one, moments, schedule) / least_variance(one, moments))
    figures.level_axis(of_p, -10, 10)
    of_p.set(ylim=(0, 0.45))
    of_p.legend(loc="upper left", ncols=2)
    figures.title(of_p, "how often training visits a level, p(λ)")
    colours = [figures.COLOURS[meaning] for meaning, _ in styles]
    of_variance.barh(range(5), ratios, color=colours, height=0.6)
    for i, ratio in enumerate(ratios):
        of_variance.text(ratio * 1.08, i, rounded(ratio, 3), va="center")
    of_variance.set_yticks(range(5), list(made))
    of_variance.set(xscale="log", xlim=(0.9, 90), xticks=[1, 3, 10, 30])
    of_variance.set_xticks([1, 3, 10, 30], ["1", "3", "10", "30"])
    of_variance.minorticks_off()
    of_variance.invert_yaxis()
    figures.title(of_variance, "variance / the least")


def sampler_distances():
    """W1 in km/s of 3000 samples to the exact law: mean and spread of perfect draws, then both."""
    law, y = data().diffuse(HIGH), np.linspace(-5, 5, 4001)
    truth = smoothed(HIGH, y)

    def w1(z):
        return velocity_scale() * distances.wasserstein_to_density(z / alpha(HIGH), truth, y)

    chance = distances.noise_floor(
        law.sample, 3000, np.random.default_rng(2), repeats=40, distance=lambda z, _: w1(z)
    )
    return chance.mean, chance.spread, *(w1(path[-1]) for path in paths()[1].values())


def block_2():
    p = expit(2 * np.sqrt(2) * 0.5)
    mean, spread, of_sde, of_ode = sampler_distances()
    moments, one = ErrorMoments.from_mixtures(data()), np.ones_like
    ratios = {
        name: draw_variance(one, moments, schedule) / least_variance(one, moments)
        for name, schedule in schedules().items()
    }
    gap = gap_constant(curve(), LinearLogSnr())
    _, found = fits()
    held = elbo_panel.compute("cosine", "time", (0.0,) * len(elbo_panel.KNOTS), -10.0, 10.0)[0]
    return {
        "two_probability": rounded(p, 3),
        "two_mean": rounded(2 * p - 1, 3),
        "two_price_bold": rounded(4 * (1 - p), 3),
        "two_price_mean": rounded(1 - (2 * p - 1) ** 2, 3),
        "fit_floor": rounded(floor(), 3),
        "fit_0": rounded(found[0][1], 3),
        "fit_16": rounded(found[16][1], 3),
        "w1_perfect": rounded(mean, 2),
        "w1_perfect_spread": rounded(spread, 2),
        "w1_sde": rounded(of_sde, 3),
        "w1_ode": rounded(of_ode, 2),
        "copy_12": rounded(copied(0.0, 12.0), 2),
        "copy_wide": rounded(copied(300.0, 12.0), 2),
        "copy_panel": rounded(reverse.compute(0.0, 96, 12.0, 0, 0)[0]["nearest"], 1),
        "neighbours": rounded(1000 * neighbours(), 2),
        "step_ratio": rounded(step_kl(1.0, 0.0, 2.0) / step_kl(1.0, 0.0, 1.0), 3),
        "elbo_area": rounded(weighted_loss(one, curve()), 4),
        "elbo_held": rounded(held["loss"], 3),
        "gap": rounded(gap, 4),
        "gap_64": rounded(discretisation_gap(np.linspace(10, -10, 65), curve()), 3),
        "gap_1000": rounded(gap / 1000, 2),
        "ratio_cosine": rounded(ratios["cosine"], 3),
        "ratio_linear": rounded(ratios["linear β"], 3),
        "ratio_uniform": rounded(ratios["uniform λ"], 3),
    }


# --- block 3: weighting --------------------------------------------------------------------------


@figure_of(FULL)
def plain_loss(figure, ax):
    styles = [("data", "-"), ("weight", "--"), ("model", ":"), ("noise", "-.")]
    for (name, schedule), (meaning, style) in zip(schedules().items(), styles, strict=True):
        figures.line(ax, LEVELS, 2 * schedule.density(LEVELS), meaning, label=name, ls=style)
    figures.level_axis(ax, -10, 10)
    ax.set(ylim=(0, 0.45))
    figures.title(ax, "w(λ) = 2 p(λ) of the loss with nothing in front")
    ax.legend(loc="upper right")


DARK = {"negative": "#A84300", "weight": "#006B4D"}  # readable as text

NAMES = {
    "elbo": "ELBO",
    "ve_eps": "VE, ε-loss",
    "vp_linear_eps": "DDPM, ε-loss",
    "cosine_eps": "cosine, ε-loss",
    "cosine_v": "cosine, v-loss",
    "cosine_x": "cosine, x-loss",
    "flow_matching": "flow matching",
    "indi": "InDI",
    "sd3": "SD3",
    "edm": "EDM",
    "edm_monotonic": "EDM, lifted",
    "p2": "P2",
    "min_snr": "Min-SNR-5",
    "truncated_snr": "truncated SNR",
    "sigmoid": "sigmoid",
}


@figure_of((1160, 425), 3, 5, sharex=True, sharey=True, slow=True)
def fifteen(figure, axes):
    levels = LEVELS[::8]
    for ax, (key, w) in zip(axes.flat, weightings().items(), strict=True):
        height = w(levels)
        rising = np.append(np.diff(height) > 1e-9, False)
        figures.signed_area(ax, levels, height, "weight")
        ax.fill_between(levels, height, where=rising, lw=0, **figures.NEGATIVE)
        ax.set(xlim=(-10, 10), ylim=(0, 1.15), xticks=[-10, 0, 10], yticks=[])
        mark, colour = ("✗", "negative") if rising.any() else ("✓", "weight")
        ax.text(
            0.98, 0.78, mark, transform=ax.transAxes, ha="right", fontsize=12, color=DARK[colour]
        )
        figures.title(ax, NAMES[key])
    axes[2, 2].set_xlabel("log-SNR λ     ← noise        data →")


def instrument():
    """The still of the panel that can be pulled in deck.html."""
    panel = sum_of_elbos_panel.panel()
    return still.figure(panel.scene, panel.results | panel.arrays)


FIGURES["instrument"] = instrument


@figure_of((1160, 405), 2, 2, sharex="col", sharey="row", height_ratios=[1, 1.3])
def two_sides(figure, axes):
    grid = np.linspace(-10, 10, 201)
    centres = (grid[1:] + grid[:-1]) / 2
    for (of_loss, of_sum), key in zip(axes.T, ("sigmoid", "cosine_eps"), strict=True):
        w = weightings()[key]
        e = curve().at(grid)[0]
        masses = level_masses(w, grid)[0]
        half, product = w(grid) * e / 2, masses / np.diff(grid) * curve().at(centres)[1]
        figures.signed_area(of_loss, grid, half, "data")
        figures.signed_area(of_sum, centres, product, "mixture")
        figures.title(of_loss, f"{NAMES[key]}: ½ w e: {weighted_loss(w, curve()):.6f}")
        figures.title(of_sum, f"−w′ L, and the ends: {sum_of_elbos(w, curve()):.6f}")
        figures.level_axis(of_sum, -10, 10)
        of_sum.axhline(0, color="black", lw=0.6)
        of_loss.set(ylim=(0, 0.29), yticks=[0, 0.1, 0.2])
        of_sum.set(ylim=(-0.05, 0.29), yticks=[0, 0.1, 0.2])
    figure.supylabel("nats per λ", fontsize=axes[0, 0].yaxis.label.get_size())


@figure_of(HALF)
def survival(figure, ax):
    w = sigmoid(2.0)
    rate = -np.gradient(w(LEVELS), LEVELS)
    purple = {"color": figures.COLOURS["mixture"], "alpha": 0.45, "lw": 0}
    ax.fill_between(LEVELS, rate / rate.max(), label="−dw/dλ, scaled", **purple)
    figures.line(ax, LEVELS, w(LEVELS), "weight", label="w", lw=3)
    p = Cosine().density(LEVELS)
    figures.line(ax, LEVELS, p / p.max(), "exact", label="p, cosine, scaled", ls="--", lw=1.5)
    figures.level_axis(ax, -10, 10)
    ax.set(ylim=(0, 1.9), yticks=[0, 0.5, 1])
    ax.legend(loc="upper right")
    figures.title(ax, "w = sigmoid(2 − λ)")


@figure_of((640, 460))
def layers(figure, ax):
    x = np.linspace(-4, 5, 400)
    w = sigmoid(2.0)
    fine = np.linspace(-10, 10, 4001)
    shares = 1 - w(fine) / w(-10.0)
    chosen = np.interp([0.1, 0.3, 0.5, 0.7, 0.9], shares, fine)
    words = [f"λ = {q:.1f}: {in_km_s(q, 2)}".replace("-", "−") for q in chosen]
    curves = [smoothed(q, x) for q in chosen]
    figures.ridges(ax, x, curves, words, [figures.COLOURS["data"]] * 5)
    ax.set(xlabel="z/α, in standard deviations", xticks=range(-4, 6, 2), xlim=(-4, 12.5))
    ax.set(ylim=(-0.1, 6.4), yticks=[])
    ax.spines["left"].set_visible(False)
    figures.title(ax, "five layers, levels from $p_w$")


AB = {"A": (-3.8, 1.0, "data", "-"), "B": (-8.0, 1.05, "model", "--")}


@figure_of((660, 470), 2, 1, sharex=True)
def a_and_b(figure, axes):
    top, low = axes
    edm = weightings()["edm"](LEVELS)
    figures.line(top, LEVELS, edm, "weight", label="w, EDM", ls=":")
    for name, (start, area, meaning, style) in AB.items():
        inside = (start <= LEVELS) & (start + 1 >= LEVELS)
        figures.line(top, LEVELS, area * inside, meaning, label=f"excess e, {name}", ls=style)
        excess = area / 2 * np.clip(LEVELS - start, 0, 1)
        figures.line(low, LEVELS, excess, meaning, label=name, ls=style)
    figures.title(low, "excess of L, nats")
    top.set_ylim(0, 2)
    top.legend(loc="upper right")
    low.legend(loc="lower right")
    low.set_ylim(0, 0.6)
    figures.level_axis(top, -10, 10)
    top.set_xlabel("")
    figures.level_axis(low, -10, 10)


def excess_loss(w, low, area):
    levels = np.linspace(low, low + 1, 2001)
    return area * np.trapezoid(w(levels), levels) / 2


@figure_of((1160, 390), 1, 3, width_ratios=[1, 1, 1.5], slow=True)
def half_nat(figure, axes):
    bins = np.linspace(5, 37, 65)
    real = np.histogram(galaxy_velocities() / 1000, bins)[0] / 82
    for ax, eta, name in [(axes[0], 1.0, "ancestral"), (axes[1], 0.0, "DDIM")]:
        found = half_a_nat.compute(level=-8.0, width=1.0, amount=0.5, eta=eta, seed=0)[1]
        shares = np.histogram(found["samples"], bins)[0] / len(found["samples"])
        ax.stairs(shares, bins, fill=True, color=figures.COLOURS["model"], alpha=0.7)
        ax.stairs(real, bins, color=figures.COLOURS["exact"], lw=1.3)
        ax.set(yticks=[], xlabel="velocity, 1000 km/s", ylim=(0, 1.2 * real.max()))
        figures.title(ax, f"λ = −8, {name}")
    ancestral, ddim = half_a_nat.curve(1.0, 0.5)
    figures.line(axes[2], half_a_nat.CENTRES, ancestral, "model", label="ancestral")
    figures.line(axes[2], half_a_nat.CENTRES, ddim, "model", label="DDIM", ls="--")
    chance = half_a_nat.compute(-9.0, 1.0, 0.5, 1.0, 0)[0]["floor"]
    axes[2].axhline(chance, color=figures.COLOURS["noise"], ls=":", label="chance")
    figures.level_axis(axes[2], -10, 10)
    axes[2].set(ylim=(0, 0.75))
    axes[2].legend(loc="upper right")
    figures.title(axes[2], "$W_1$ with ½ nat at λ, std. dev.")


@cache
def limited():
    """Two moons, 128 features: what the retraining panel finds for two weightings."""
    fixed = {"data": "two_moons", "features": 128, "ridge": 1e-4, "eta": 0.0, "steps": 40}
    fixed |= {"shift": 0.0, "monotone_lock": False, "gains": (0.0,) * 7}
    fixed |= {"draws": "training", "measure": "nearest"}
    named = {"elbo": "w = 1, the ELBO", "sigmoid": "w = sigmoid(2 − λ)"}
    return {name: retraining.compute(objective=key, **fixed) for key, name in named.items()}


TIP = (-0.2, 2.2, -1.7, 0.3)  # of one moon: where the two models differ most


@figure_of((1160, 380), 1, 3, width_ratios=[1.3, 1, 1], slow=True)
def retrained(figure, axes):
    real = planar_law("two_moons").sample(500, np.random.default_rng(2))
    looks = zip(axes[1:], limited().items(), (("exact", "-"), ("weight", "--")), strict=True)
    for ax, (name, (_, found)), (meaning, style) in looks:
        figures.line(axes[0], found["levels"], found["error"], meaning, label=name, ls=style)
        dots = {"ms": 6, "ls": "", "marker": "."}
        ax.plot(*real.T, color="#9A9A9A", **dots)
        ax.plot(*found["samples"].T, color=figures.COLOURS["model"], **dots)
        ax.set(xlim=TIP[:2], ylim=TIP[2:], xticks=[], yticks=[], aspect="equal")
        figures.title(ax, name)
    figures.level_axis(axes[0], -10, 10)
    axes[0].set_ylim(0, None)
    axes[0].legend(loc="upper left")
    figures.title(axes[0], "error e(λ), retrained")


@figure_of((680, 470), 1, 2)
def parity(figure, axes):
    """Differences between two weightings, a dot a seed, at every budget that was measured."""
    results = study.load_results()
    budgets = sorted({run["steps"] for run in results["runs"] if run["setting"] == "main"})
    pairs = [
        ("sigmoid_2", "elbo", "sigmoid − ELBO", "model", "^", 1.07),
        ("edm", "edm_monotonic", "EDM − its monotone", "data", "o", 1 / 1.07),
    ]
    measures = [("bits.total", "bits per dimension"), ("eta1.frechet", "Fréchet distance")]
    for ax, (measure, words) in zip(axes, measures, strict=True):
        for one, other, label, meaning, mark, aside in pairs:
            groups = [study.by_weighting(results, steps=n) for n in budgets]
            gaps = [study.differences(g[one], g[other], measure) for g in groups]
            at = np.repeat(np.multiply(budgets, aside), [len(gap) for gap in gaps])
            dots = {"ls": "", "marker": mark, "ms": 5}
            figures.line(ax, at, np.concatenate(gaps), meaning, label=label, **dots)
        ax.axhline(0, color=INK, lw=0.8)
        ax.set(xscale="log", xlabel="training steps", xlim=(150, 40_000))
        figures.title(ax, words)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)


def block_3():
    one = np.ones_like
    far = far_curve()
    fine = float(2 * np.log(velocity_scale() / 50))
    total = weighted_loss(one, far)
    coarse = weighted_loss(one, far, log_snr_max=fine)
    w = weightings()
    monotone = {key: is_monotone(v) for key, v in w.items()}
    prefers_b = {
        key: excess_loss(v, *AB["B"][:2]) < excess_loss(v, *AB["A"][:2]) for key, v in w.items()
    }
    constants = {low: -elbo_parts(w["elbo"], curve(), log_snr_min=low)[2] for low in (-10, -3, 0)}
    truth = data()
    kl = {name: follow(truth, low, area / 2) for name, (low, area, *_) in AB.items()}
    halves = half_a_nat.curve(1.0, 0.5, (-9.0, 0.0))
    a, b = half_a_nat.curve(1.0, 0.5, (-3.3,)), half_a_nat.curve(1.0, 0.525, (-7.5,))
    snr = np.exp(-5.0)
    elbo, sig = (found for found, _ in limited().values())
    return {
        "n_monotone": str(sum(monotone.values())),
        "n_not": str(len(monotone) - sum(monotone.values())),
        "minus_edm": rounded(100 * negative_share(w["edm"], curve()), 2),
        "minus_min_snr": rounded(100 * negative_share(w["min_snr"], curve()), 2),
        "n_prefer_b_else": str(sum(prefers_b.values()) - prefers_b["edm"]),
        "min_snr_slip": rounded(min(snr + 1, 5) / min(snr, 5), 3),
        "peak_edm": rounded(peak(w["edm"]), 3),
        "fine_share": rounded(100 * (1 - coarse / total), 2),
        "told_apart": rounded(np.exp(coarse), 2),
        "plain_cosine_fine": rounded(100 * schedules()["cosine"].time(fine), 2),
        "coded_peak": rounded(peak(lambda s: sigmoid(2.0)(s) * Cosine().density(s)), 2),
        "hidden_10": scientific(constants[-10], 2),
        "hidden_3": rounded(constants[-3], 2),
        "hidden_0": rounded(constants[0], 2),
        "atom": scientific(level_masses(sigmoid(2.0), LEVELS)[1], 3),
        "path_a": rounded(kl["A"].path[-1], 3),
        "path_b": rounded(kl["B"].path[-1], 3),
        "marginal_a": rounded(kl["A"].marginal[-1], 1),
        "marginal_b": rounded(kl["B"].marginal[-1], 1),
        "w1_a": rounded(a[0, 0], 2),
        "w1_b": rounded(b[0, 0], 2),
        "ddim_a": rounded(a[1, 0], 2),
        "ddim_b": rounded(b[1, 0], 2),
        "half_early": rounded(halves[0, 0], 2),
        "half_middle": rounded(halves[0, 1], 2),
        "half_early_ddim": rounded(halves[1, 0], 2),
        "half_floor": rounded(half_a_nat.compute(-9.0, 1.0, 0.5, 1.0, 0)[0]["floor"], 2),
        "retrained_cost": rounded(sig["above"], 2),
        "retrained_elbo": rounded((elbo["off"] + elbo["missed"]) / 2, 2),
        "retrained_sigmoid": rounded((sig["off"] + sig["missed"]) / 2, 2),
        "retrained_floor": rounded(elbo["nearest_floor"], 2),
    }


def follow(truth, low, excess):
    """Path and marginal KL up to λ = 5 of the ideal denoiser, damaged on one unit of λ."""

    def damaged(z, log_snr):
        return truth.eps(z, log_snr) + (low < log_snr < low + 1) * np.sqrt(2 * excess)

    steps = np.unique([*np.linspace(-10, low, 30), *np.linspace(low, low + 1, 40)])
    steps = np.append(steps, np.linspace(low + 1, 5, 120)[1:])
    return path_and_marginal_kl(truth, damaged, steps, per_sd=10)


def numbers():
    """Return every number of the deck: {name: text}."""
    return block_1() | block_2() | block_3()


def main(names):
    (HERE / "figures").mkdir(exist_ok=True)
    for name in names or FIGURES:
        text = svg(FIGURES[name]())
        (HERE / "figures" / f"{name}.svg").write_text(text, encoding="utf-8")
        print(f"{name}: {len(text) // 1024} KiB")
    if not names:
        text = json.dumps(numbers(), indent=1, ensure_ascii=False) + "\n"
        (HERE / "numbers.json").write_text(text, encoding="utf-8")
        text = json.dumps({"sum_of_elbos": sum_of_elbos_panel.panel().page()}, ensure_ascii=False)
        (HERE / "panels.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
