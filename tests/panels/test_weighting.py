"""The weighting panel: its numbers against independent integrals and closed forms."""

import numpy as np
import pytest
from scipy.integrate import quad

from course_utils.datasets import km_per_s
from course_utils.objectives import PUBLISHED
from course_utils.panels import weighting
from course_utils.panels._galaxies import error_curve
from course_utils.panels._weighting_controls import PARAMETERS
from course_utils.weightings import is_monotone

PLAIN = {"shift": 0.0, "monotone_lock": False, "gains": (0.0,) * 7}
LEVELS = np.linspace(-10, 10, 4001)


def numbers(objective, **values):
    return weighting.compute(objective, **PLAIN | values)[0]


def chosen(objective, **values):
    return weighting.chosen(objective, **PLAIN | values)


@pytest.mark.parametrize("objective", PUBLISHED)
def test_shares_and_verdicts(objective):
    found, w, errors = numbers(objective), chosen(objective), error_curve()

    def integral(low, high):
        inside = [b for b in (-9, -6, -3, 0, 3, 6, 9) if low < b < high]
        return quad(lambda s: w(s) * errors.at(s)[0], low, high, points=inside, epsrel=1e-9)[0]

    fine = -2 * np.log(50 / km_per_s(0))
    assert found["coarse"] == pytest.approx(integral(-10, fine) / integral(-10, 10), abs=1e-7)
    half = -2 * np.log(found["median"] / km_per_s(0))
    assert integral(-10, half) == pytest.approx(integral(-10, 10) / 2, rel=1e-6)
    monotone = is_monotone(PUBLISHED[objective].implied_weighting())
    assert found["verdict"].startswith("w is monotone") == monotone
    assert (found["negative"] == 0) == monotone
    assert ("convention" in found) == objective.startswith("edm")


def test_negative_part_of_a_hump():
    """sech(λ/2) rises up to 0: by parts, ∫ L dw over the rise is known from L's ends and from e."""
    found, errors = numbers("cosine_eps"), error_curve()

    def loss(low, high):
        return quad(lambda s: errors.at(s)[0] / np.cosh(s / 2) / 2, low, high, epsrel=1e-10)[0]

    kl = errors.at([-10.0, 0.0])[1]
    subtracted = kl[1] - kl[0] / np.cosh(5) - loss(-10, 0)
    assert found["negative"] == pytest.approx(subtracted / loss(-10, 10), abs=1e-7)
    assert found["peak"] == pytest.approx(0, abs=1e-6)
    assert numbers("cosine_eps", monotone_lock=True)["negative"] == 0


def test_the_arrays_belong_to_the_weighting():
    values = {"gains": (0.5, 0.0, -1.0, 0.0, 0.3, 0.0, 0.0), "edm_data_sd": 0.3}
    _, arrays = weighting.compute("edm", **PLAIN | values)
    w = chosen("edm", **values)
    np.testing.assert_array_equal(arrays["heights"], w(weighting.LEVELS))
    assert arrays["heights"].max() == pytest.approx(1, abs=1e-3)
    assert np.trapezoid(arrays["share"], weighting.LEVELS) == pytest.approx(1)
    rise = np.trapezoid(arrays["slope"], weighting.TIMES)
    assert rise == pytest.approx(w(-10.0) - w(10.0), abs=1e-2)
    unbent = chosen("edm", edm_data_sd=0.3)(weighting.LEVELS)
    np.testing.assert_allclose(arrays["before"], unbent, rtol=1e-12)


def test_parameters_stand_at_their_published_values():
    controls = weighting.controls()
    for name, parameter in PARAMETERS.items():
        assert controls[name].value == parameter.published
        for objective in parameter.objectives:
            assert numbers(objective, **{name: parameter.published}) == numbers(objective)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_peak_of_p2(gamma):
    assert numbers("p2", p2_gamma=gamma)["peak"] == pytest.approx(-np.log(2 * gamma + 1), abs=1e-5)


def test_closed_forms_of_the_parameters():
    plain = chosen("cosine_eps")
    np.testing.assert_allclose(chosen("p2", p2_gamma=0.0)(LEVELS), plain(LEVELS), rtol=1e-9)
    biased, moved = chosen("sigmoid", sigmoid_bias=4.0), chosen("sigmoid", shift=2.0)
    np.testing.assert_allclose(biased(LEVELS), moved(LEVELS), rtol=1e-9)
    cut = chosen("min_snr", min_snr_gamma=20.0)
    assert cut(np.log(20)) == pytest.approx(plain(np.log(20)))
    assert cut(np.log(20) + 1) == pytest.approx(plain(np.log(20) + 1) / np.e)


@pytest.mark.parametrize("data_sd", [0.3, 0.5, 2.0])
def test_unit_variance_moves_edm_and_nothing_else(data_sd):
    """The closed form in λ' = λ + 2 ln σ_data, with λ = −2 ln σ."""
    values = {"edm_data_sd": data_sd, "unit_variance": True}
    own = LEVELS - 2 * np.log(data_sd)
    closed = np.exp(-((own - 2.4) ** 2) / (2 * 2.4**2)) * (np.exp(-own) + data_sd**2)
    w = chosen("edm", **values)
    np.testing.assert_allclose(w(LEVELS), closed / closed.max(), rtol=1e-9, atol=1e-12)
    assert numbers("sd3", **values) == numbers("sd3")


def test_the_verdict_says_where_w_rises():
    assert numbers("cosine_eps")["verdict"].endswith("from -10.0 to 0.0")
    assert numbers("edm")["verdict"].endswith("from -10.0 to -3.3")
    two = numbers("elbo", gains=(0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0))
    assert two["verdict"].endswith("in 2 places")

    def slow(log_snr):  # not monotone, and its rise in one step is below the tolerance
        return 1 + 6e-7 * np.clip(log_snr, -2, 3)

    levels = np.linspace(-10, 10, 20_001)
    assert not is_monotone(slow)
    assert weighting._verdict(levels, slow(levels), False).endswith("rises with λ from -2.0 to 3.0")


def test_only_the_objectives_own_controls_are_on_show():
    panel = weighting.panel()
    for objective in PUBLISHED:
        panel.set(objective=objective)
        optional = [*PARAMETERS, "unit_variance"]
        shown = {name for name in optional if panel.controls[name].layout.display != "none"}
        wanted = {name for name, p in PARAMETERS.items() if objective in p.objectives}
        assert shown == wanted | ({"unit_variance"} if "edm" in objective else set())
    panel.close()


def test_presets_do_what_their_names_say():
    found = {name: weighting.compute(**PLAIN | v)[0] for name, v in weighting.PRESETS.items()}
    assert found["EDM, made monotone"]["verdict"] == "w is monotone"
    assert found["all for the finest detail"]["coarse"] < 0.5
    coarse = found["ELBO of what is coarser than 50 km/s"]
    assert coarse["verdict"] == "w is monotone" and coarse["coarse"] > 0.95
    assert found["P2 with γ = 0"]["peak"] == pytest.approx(0, abs=1e-6)
    panel = weighting.panel(shift=1.0, gains=(0.5,) * 7)  # a preset clears what was bent before
    panel.set(**panel.presets["EDM, its own λ"])
    assert panel.values["shift"] == 0 and not any(panel.values["gains"])
    panel.close()
