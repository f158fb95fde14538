"""What readers set in matplotlib, none of which may be seen in the course's pictures."""

import matplotlib as mpl
import matplotlib.style

# usetex would raise without LaTeX on the machine; fonts are looked up when text is drawn.
SETTINGS = {
    "text.usetex": True, "text.color": "red", "figure.dpi": 55, "figure.facecolor": "0.3",
    "savefig.dpi": 30, "savefig.bbox": "tight", "savefig.transparent": True,
    "axes.prop_cycle": mpl.cycler(color=["r", "g"]), "axes.facecolor": "0.2", "axes.grid": True,
    "axes.titlelocation": "right", "axes.xmargin": 0.4, "axes.unicode_minus": False,
    "axes.formatter.limits": (0, 0), "font.size": 20, "font.family": "serif",
    "font.sans-serif": ["DejaVu Serif"], "mathtext.fontset": "cm", "lines.linewidth": 5,
    "lines.marker": "o", "hatch.linewidth": 4, "patch.linewidth": 7, "legend.frameon": True,
    "legend.fontsize": 20, "xtick.color": "red", "ytick.major.size": 20, "image.cmap": "hot",
    "path.sketch": (1, 100, 2),
}  # fmt: skip


def dark():
    matplotlib.style.use("dark_background")


def all_at_once():
    mpl.rcParams.update(SETTINGS)


READERS = [dark, all_at_once]
