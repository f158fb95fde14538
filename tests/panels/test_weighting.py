"""The weighting panel's parameters, presets and convention of λ, against independent truths."""

import numpy as np
import pytest

from course_utils.objectives import PUBLISHED
from course_utils.panels import weighting
from course_utils.panels._weighting_controls import PARAMETERS

PLAIN = {"shift": 0.0, "monotone_lock": False, "gains": (0.0,) * 7}


def numbers(objective, **values):
    return weighting.compute(objective, **PLAIN | values)[0]


def test_parameters_stand_at_their_published_values():
    controls = weighting.controls()
    for name, parameter in PARAMETERS.items():
        assert controls[name].value == parameter.published
        for objective in parameter.objectives:
            assert numbers(objective, **{name: parameter.published}) == numbers(objective)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_peak_of_p2(gamma):
    assert numbers("p2", p2_gamma=gamma)["peak"] == pytest.approx(-np.log(2 * gamma + 1), abs=1e-5)


def test_p2_without_its_power_is_the_plain_loss():
    plain, p2 = numbers("cosine_eps"), numbers("p2", p2_gamma=0.0)
    for name in ("median", "coarse", "negative"):
        assert p2[name] == pytest.approx(plain[name], rel=1e-9)


def test_bias_of_the_sigmoid_is_a_shift():
    _, biased = weighting.compute("sigmoid", **PLAIN | {"sigmoid_bias": 4.0})
    _, moved = weighting.compute("sigmoid", **PLAIN | {"shift": 2.0})
    levels = np.linspace(-10, 10, 41)
    np.testing.assert_allclose(biased(levels), moved(levels), rtol=1e-9)


def test_min_snr_cuts_where_gamma_says():
    _, w = weighting.compute("min_snr", **PLAIN | {"min_snr_gamma": 20.0})
    _, plain = weighting.compute("cosine_eps", **PLAIN)
    assert w(np.log(20)) == pytest.approx(plain(np.log(20)))
    assert w(np.log(20) + 1) == pytest.approx(plain(np.log(20) + 1) / np.e)


@pytest.mark.parametrize("data_sd", [0.3, 0.5, 2.0])
def test_unit_variance_moves_edm_and_nothing_else(data_sd):
    """The closed form in λ' = λ + 2 ln σ_data, with λ = −2 ln σ."""
    values = {"edm_data_sd": data_sd, "unit_variance": True}
    _, w = weighting.compute("edm", **PLAIN | values)
    levels = np.linspace(-10, 10, 4001)
    own = levels - 2 * np.log(data_sd)
    closed = np.exp(-((own - 2.4) ** 2) / (2 * 2.4**2)) * (np.exp(-own) + data_sd**2)
    np.testing.assert_allclose(w(levels), closed / closed.max(), rtol=1e-9, atol=1e-12)
    assert numbers("sd3", **values) == numbers("sd3")


def test_edm_says_which_level_it_uses():
    own, unit = numbers("edm"), numbers("edm", unit_variance=True)
    assert own["peak"] == pytest.approx(-3.3077, abs=2e-4) and "−2 ln σ as EDM" in own["convention"]
    assert unit["peak"] == pytest.approx(-4.694, abs=1e-3) and "-1.39" in unit["convention"]
    assert all(("convention" in numbers(key)) == key.startswith("edm") for key in PUBLISHED)


def test_the_verdict_says_where_w_rises():
    assert numbers("cosine_eps")["verdict"].endswith("from -10.0 to 0.0")
    assert numbers("edm")["verdict"].endswith("from -10.0 to -3.3")
    two = numbers("elbo", gains=(0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0))
    assert two["verdict"].endswith("in 2 places")
    assert numbers("elbo")["verdict"] == "w is monotone"


def test_only_the_objectives_own_controls_are_on_show():
    panel = weighting.panel()
    of_edm = {"edm_data_sd", "unit_variance"}
    for objective in PUBLISHED:
        panel.set(objective=objective)
        shown = {
            name
            for name in [*PARAMETERS, "unit_variance"]
            if panel.controls[name].layout.display != "none"
        }
        wanted = {k for k, p in PARAMETERS.items() if objective in p.objectives}
        assert shown == (of_edm if "edm" in objective else wanted)
    panel.close()


def test_presets_are_named_and_do_what_they_say():
    panel = weighting.panel()
    results = {}
    for name, values in panel.presets.items():
        panel.set(gains=(0.5,) * 7, shift=1.0)  # a preset clears what was bent before
        panel.set(**values)
        results[name] = panel.results
        assert panel.error is None
    panel.close()
    assert results["EDM, made monotone"]["verdict"] == "w is monotone"
    assert results["all for the finest detail"]["coarse"] < 0.5
    coarse = results["ELBO of what is coarser than 50 km/s"]
    assert coarse["verdict"] == "w is monotone" and coarse["coarse"] > 0.95
    assert results["P2 with γ = 0"]["peak"] == pytest.approx(0, abs=1e-6)
