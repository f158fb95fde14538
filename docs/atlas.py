"""The atlas of objectives: `python docs/atlas.py` computes the table and the figure of atlas.md."""

import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from course_utils import atlas
from course_utils.audit import audit
from course_utils.objectives import PUBLISHED
from course_utils.widgets import figures

DECADES = 3  # of w that the figure shows
HERE = Path(__file__).resolve().parent
START, END = "<!-- computed by atlas.py -->", "<!-- computed until here -->"
HEAD = ("objective", "year", "levels · prediction · factor", "shift", "λ", "peak", "rises", "minus")
# What of the published objectives stands in formulas: levels, factor.
WORDS = {
    "elbo": ("any", "g²"),
    "ve_eps": ("uniform λ", "1"),
    "vp_linear_eps": ("β linear, continuous", "1"),
    "cosine_eps": ("cosine", "1"),
    "cosine_v": ("cosine", "1"),
    "cosine_x": ("cosine", "1"),
    "flow_matching": ("uniform t", "1"),
    "indi": ("uniform t", "1"),
    "sd3": ("logit_normal 0, 1", "1"),
    "edm": ("lognormal −1.2, 1.2", "1"),
    "edm_monotonic": ("lognormal −1.2, 1.2", "made monotone"),
    "p2": ("cosine", "1/(1 + SNR)"),
    "min_snr": ("cosine", "min(SNR, 5)"),
    "truncated_snr": ("cosine", "max(SNR, 1)"),
    "sigmoid": ("cosine", "sigmoid(2 − λ)/p"),
}
LISTS = {
    "sd_zero_snr": "β scaled_linear, rescaled",
    "cogvideox_2b": "β scaled_linear, SNR/3, rescaled",
    "stable_cascade": "cosine with an offset, cut",
    "hdit": "cosine, interpolated 32 to 256",
}


def rows():
    """Return the computed table: {key: its cells as strings}."""
    return {key: row(key, objective) for key, objective in atlas.objectives().items()}


def row(key, objective):
    """Return the cells of one objective."""
    found = audit(objective)
    entry = atlas.ATLAS.get(key)
    levels, factor, shift = recipe(key)
    asked = {"eps": "ε", "velocity": "flow"}.get(objective.prediction, objective.prediction)
    asked = "F" if "edm" in key or (entry and entry.script.get("prediction") == "F") else asked
    year = entry.year if entry else max(re.findall(r"\d{4}", PUBLISHED[key].reference) or ["—"])
    first = found.weights[0] >= 1 - 1e-9
    rising = "+ ".join(f"{by:.0%}" for *_, by in found.rises)
    cells = (
        objective.name,
        str(year),
        f"{levels} · {asked} · {factor}",
        shift,
        "{:.1f} to {:.1f}".format(*middle(objective)),
        "noisy end" if first else f"{found.peak:.1f}",
        rising or "monotone",
        f"{found.negative:.2%}" if found.rises else "0",
    )
    return tuple(re.sub(r"(?<![\w⁻])-(?=\d)", "−", cell) for cell in cells)


def recipe(key):
    """Return the words for the levels, the factor and the shift of an objective."""
    if key not in atlas.ATLAS:
        return *WORDS[key], ""
    script = atlas.ATLAS[key].script
    kinds = {"betas": "β ", "density": "", "schedule": "", "alpha_bars": "", "sigmas": ""}
    (kind,) = kinds.keys() & script.keys()
    if kind == "schedule":
        levels = type(script[kind]).__name__.lower()
    else:
        levels = LISTS.get(key) or kinds[kind] + in_words(script[kind])
    factor = script.get("coefficient", "1")
    factor = factor.__doc__.removeprefix("Return ").rstrip(".") if callable(factor) else factor
    shift = script.get("shift", "")
    return levels, in_words(factor), f"{shift:.3g}" if shift else ""


def in_words(named):
    """Return a name with its parameters, as from_script takes it, in words."""
    if isinstance(named, str):
        return named
    name, *parameters = named
    return f"{name} {', '.join(f'{p:g}' for p in parameters)}"


def middle(objective):
    """Return the levels between which all but one in a thousand draws fall, half at each end."""
    wide = np.linspace(-45, 45, 180_001)
    below = np.cumsum(objective.density(wide))
    return np.interp([0.0005, 0.9995], below / below[-1], wide)


def sources():
    """Return the lines that say where each entry was looked up."""
    found = [f"- {o.name}: {o.reference}" for o in PUBLISHED.values()]
    for entry in atlas.ATLAS.values():
        where = "; ".join(linked(part) for part in entry.source.split("; "))
        found.append(f"- {entry.name}: {entry.kind}. {where}")
    return found


def linked(place):
    """Return "owner/name path, path (remark)" with links to the files."""
    repository, paths = place.split(" ", 1)
    address = f"https://github.com/{repository}/blob/HEAD"
    return f"{repository}: " + re.sub(
        r"[\w./-]+\.\w+", lambda m: f"[{m[0]}]({address}/{m[0]})", paths
    )


def figure():
    """Return the figure: w of each objective over λ; those that rise first, by their peaks."""
    levels, every = np.linspace(-15, 10, 1001), atlas.objectives()
    curves = {}
    for key, objective in every.items():
        w = objective.implied_weighting()
        reached = (levels >= w.span[0]) & (levels <= w.span[1])
        curves[key] = np.where(reached, w(levels), np.nan)
    # below those without a rise, by where a tenth of w is left; above the others, by their peaks
    up = {key: np.diff(w, append=np.nan) > 1e-9 * np.nanmax(w) for key, w in curves.items()}
    falling = {key: not up[key].any() for key in curves}
    tenth = {key: levels[w > 0.1 * np.nanmax(w)][-1] for key, w in curves.items()}
    peak = {key: levels[np.nanargmax(w)] for key, w in curves.items()}
    order = sorted(every, key=lambda k: (not falling[k], tenth[k] if falling[k] else peak[k]))
    fig, ax = figures.new_figure(size=(9, 0.3 * len(order) + 1))
    for place, key in enumerate(order):
        top = np.nanmax(curves[key])
        height = 0.9 * np.clip(1 + np.log10(curves[key] / top + 1e-99) / DECADES, 0, 1)
        p = every[key].density(levels)
        drawn = np.clip(1 + np.log10(p / p.max() + 1e-99) / DECADES, 0, 1)
        figures.line(ax, levels, place + 0.9 * drawn, "exact", linewidth=0.7, linestyle=":")
        figures.line(ax, levels, place + height, "weight", linewidth=1.1)
        fill = {"color": figures.COLOURS["weight"], "alpha": 0.35, "lw": 0}
        ax.fill_between(levels, place, place + height, **fill)
        ax.fill_between(levels, place, place + height, where=up[key], **figures.NEGATIVE, lw=0)
    figures.level_axis(ax, levels[0], levels[-1])
    ax.set_yticks(np.arange(len(order)), [every[key].name for key in order])
    ax.set_ylim(-0.2, len(order))
    ax.tick_params(axis="y", length=0)
    return fig


def main():
    """Write the table, the sources and the figure."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    lines += ["| " + " | ".join(cells) + " |" for cells in rows().values()]
    page = HERE / "atlas.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    computed = "\n".join(["", "", *lines, "", "## Where it stands", "", *sources(), "", ""])
    page.write_text(before + START + computed + END + after, encoding="utf-8")
    drawn = io.BytesIO()
    figure().savefig(drawn, dpi=110)
    Image.open(drawn).convert("RGB").quantize(48).save(HERE / "_static/atlas.png", optimize=True)


if __name__ == "__main__":
    main()
