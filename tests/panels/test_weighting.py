"""The weighting panel: its shares against independent integrals, its presets, its hand."""

import numpy as np
import pytest
from scipy.integrate import quad

from course_utils.datasets import km_per_s
from course_utils.objectives import PUBLISHED
from course_utils.panels import weighting
from course_utils.panels._galaxies import error_curve
from course_utils.panels._instrument import weighting as spelled
from course_utils.weightings import is_monotone


def numbers(objective, **values):
    return weighting.compute(objective=objective, **values)[0]


@pytest.mark.parametrize("objective", PUBLISHED)
def test_shares_and_verdicts(objective):
    found, w, errors = numbers(objective), spelled({"objective": objective}), error_curve()

    def integral(low, high):
        inside = [b for b in (-9, -6, -3, 0, 3, 6, 9) if low < b < high]
        return quad(lambda s: w(s) * errors.at(s)[0], low, high, points=inside, epsrel=1e-9)[0]

    total, fine = integral(-10, 10), -2 * np.log(50 / km_per_s(0))
    assert found["coarse"] == pytest.approx(integral(-10, fine) / total, abs=1e-7)
    half = -2 * np.log(found["median"] / km_per_s(0))
    assert integral(-10, half) == pytest.approx(total / 2, rel=1e-6)
    monotone = is_monotone(PUBLISHED[objective].implied_weighting())
    assert found["verdict"].startswith("w is monotone") == monotone
    assert (found["negative_share"] == 0) == monotone
    assert ("convention" in found) == objective.startswith("edm")


def test_presets_do_what_their_names_say():
    found = {name: numbers(**values) for name, values in weighting.PRESETS.items()}
    assert found["EDM, made monotone"]["verdict"] == "w is monotone"
    assert found["all for the finest detail"]["coarse"] < 0.5
    coarse = found["ELBO of what is coarser than 50 km/s"]
    assert coarse["verdict"] == "w is monotone" and coarse["coarse"] > 0.95
    assert found["P2 with γ = 0"]["peak"] == pytest.approx(0, abs=1e-6)
    panel = weighting.panel(shift=1.0, gains=(0.5,) * 7, brush=(0.1,) * 161)
    panel.set(**panel.presets["EDM, its own λ"])  # a preset clears what was bent before
    assert panel.values["shift"] == 0 and not any(panel.values["gains"] + panel.values["brush"])
    panel.close()
