"""What a training script weighs: its loss by hand, the lists of diffusers, and bad input."""

import re

import numpy as np
import pytest
from comparing import refused
from scipy.special import expit
from scipy.stats import norm

from course_utils.audit import audit, coefficients, compare, main, rises
from course_utils.elbo import weighted_loss
from course_utils.objectives import PUBLISHED, from_script
from course_utils.panels._galaxies import error_curve
from course_utils.schedules import Cosine, alpha_bar, capped_cosine_betas, ddpm_betas
from course_utils.weightings import made_monotone

SD_BETAS = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2  # Stable Diffusion 1.5's config
ZERO_TERMINAL = np.append(SD_BETAS[:-1], 1.0)

# The least loss of each prediction for data N(0, 1), by hand: E[x|z] = α z and E[ε|z] = σ z.
LEAST = {
    "epsilon": lambda a, s: a**2,
    "sample": lambda a, s: s**2,
    "v_prediction": lambda a, s: np.ones_like(a),
    "flow": lambda a, s: 1 + 2 * a * s,
}


def weighting(**script):
    return from_script(**script).implied_weighting()


LISTS = [("linear", np.linspace(1e-4, 0.02, 1000)), ("scaled_linear", SD_BETAS)]


@pytest.mark.parametrize(("name", "betas"), LISTS)
def test_lists_have_their_names_and_published_ends(name, betas):
    for given in (name, (name, *betas[[0, -1]])):
        found = from_script(betas=given).levels.steps
        np.testing.assert_allclose(found, from_script(betas=betas).levels.steps, rtol=1e-10)


@pytest.mark.parametrize("prediction", LEAST)
@pytest.mark.parametrize("betas", [ddpm_betas(), SD_BETAS, capped_cosine_betas()[:-1]])
def test_the_weighting_gives_the_loss_that_the_script_adds_up(prediction, betas):
    # Two scripts that differ in their coefficients: the ratio of their losses has no free scale.
    bar = alpha_bar(betas)
    a, s = np.sqrt(bar), np.sqrt(1 - bar)
    given = np.exp(-((np.linspace(-1, 2, len(betas))) ** 2))
    of_script = [np.mean(c * LEAST[prediction](a, s)) for c in (given, np.ones_like(given))]
    of_course = []
    for coefficient in (given, 1.0):
        w = weighting(betas=betas, prediction=prediction, coefficient=coefficient)
        levels = np.linspace(*w.span, 200_001)
        of_course.append(np.trapezoid(w(levels) * expit(levels), levels))  # e = α² for these data
    # the list is a sum of a thousand steps, w an integral over what lies between them
    assert of_course[0] / of_course[1] == pytest.approx(of_script[0] / of_script[1], rel=2e-3)


@pytest.mark.parametrize(
    ("arguments", "key", "moved"),
    [
        ({"schedule": Cosine(), "coefficient": "p2"}, "p2", 0.0),
        ({"schedule": Cosine(), "prediction": "v", "coefficient": "min_snr"}, "min_snr", 0.0),
        ({"density": "uniform", "prediction": "flow"}, "flow_matching", 0.0),
        ({"density": "logit_normal", "prediction": "flow"}, "sd3", 0.0),
        ({"density": norm(0, 2), "prediction": "velocity"}, "sd3", 0.0),
        ({"density": "cosmap", "prediction": "epsilon"}, "cosine_eps", 0.0),
        # EDM's network is asked for F, and its data have standard deviation ½
        ({"density": "lognormal", "prediction": "F", "data_sd": 0.5}, "edm", 2 * np.log(0.5)),
    ],
)
def test_the_published_objectives_are_what_scripts_make_of_them(arguments, key, moved):
    other = PUBLISHED[key].implied_weighting()
    found = compare(weighting(**arguments), lambda levels: other(levels - moved), -8, 8)
    assert found.difference < 1e-9


def test_one_coefficient_has_many_forms():
    """Data of standard deviation ½, steps shifted by 2: all are of the script's own level."""
    script = {"betas": SD_BETAS, "shift": 2.0, "data_sd": 0.5}
    bar = alpha_bar(SD_BETAS)
    snr = bar / (1 - bar) / 4  # on the shifted steps
    forms = {
        "snr": lambda snr: 1 / (1 + snr),
        "sigma": lambda sigma: sigma**2 / (1 + sigma**2),
        "alpha_bar": lambda alpha_bar: 1 - alpha_bar,
        "log_snr": lambda log_snr: expit(-log_snr),
        "t": lambda t, n=999: 1 / (1 + np.exp(np.interp(t, np.arange(n + 1), np.log(snr)))),
        "two": lambda sigma, snr: sigma**2 * snr / (1 + snr),
        "a name": ("p2", 1, 1),
    }
    by_list = weighting(coefficient=1 / (1 + snr), **script)
    for name, form in forms.items():
        found = compare(by_list, weighting(coefficient=form, **script), *by_list.span)
        assert found.difference < 1e-5 and found.factor == pytest.approx(1, rel=1e-5), name
    assert compare(by_list, weighting(**script), *by_list.span).difference > 0.1
    # on the straight path û − u = (x − x̂)/σ
    flow = weighting(density="uniform", prediction="flow", coefficient=lambda sigma: sigma**2)
    of_x = weighting(density="uniform", prediction="sample")
    assert compare(flow, of_x, -5, 5).difference < 1e-12


@pytest.mark.parametrize(
    ("coefficient", "prediction", "of_eps"),
    [
        # one weight for every prediction, Crowson et al. 2024
        (("soft_min_snr", 4), "epsilon", lambda snr: 4 / (snr + 4)),
        (("soft_min_snr", 4), "sample", lambda snr: 4 / (snr + 4)),
        (("soft_min_snr", 4), "v_prediction", lambda snr: 4 / (snr + 4)),
        # diffusers' for v, whose loss is that of ε times (SNR + 1)/SNR
        ("min_snr_plus_one", "v_prediction", lambda snr: np.minimum(snr + 1, 5) / snr),
    ],
)
def test_what_coefficients_make_of_the_loss_of_eps(coefficient, prediction, of_eps):
    found = weighting(betas=SD_BETAS, prediction=prediction, coefficient=coefficient)
    by_hand = weighting(betas=SD_BETAS, coefficient=of_eps)
    assert compare(by_hand, found, *found.span) == pytest.approx((1, 0), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("steps", [50, 1000])
def test_a_time_shift_moves_the_levels(steps):
    t = np.arange(1, steps) / steps
    by_hand = from_script(sigmas=3 * t / (1 + 2 * t), prediction="flow")
    told = from_script(sigmas=t, shift=3.0, prediction="flow")
    np.testing.assert_allclose(told.levels.steps, by_hand.levels.steps, atol=1e-12)
    w = weighting(density="uniform", shift=3.0, prediction="flow")
    assert compare(w, told.implied_weighting(), -5, 3).difference < 1e-4


def test_draws_give_the_density_to_the_error_that_is_said():
    rng, levels = np.random.default_rng(0), np.linspace(-4, 4, 81)
    of_flow, of_steps = {"prediction": "flow"}, {"betas": SD_BETAS}
    for known, drawn in (
        ({"density": "logit_normal"}, {"draws": expit(rng.standard_normal(200_000))} | of_flow),
        (of_steps, {"draws": rng.integers(0, 1000, 200_000)} | of_steps),
    ):
        found = from_script(**drawn)
        off = np.abs(found.density(levels) / from_script(**known).density(levels) - 1).max()
        said = audit(found).sampling_error
        assert said / 50 < off < 5 * said < 1
    # uniform t and the velocity loss: w = e^{−λ/2}, whose rises are chance
    assert audit(from_script(draws=rng.random(10_000), **of_flow)).monotone


def test_zero_terminal_snr_stands_apart():
    found = audit(from_script(betas=ZERO_TERMINAL, prediction="v"))
    assert found.terminal == 1 / 1000 and "guessing x from nothing" in str(found)
    np.testing.assert_allclose(found.log_snr[-1], np.log(1 / SD_BETAS[0] - 1))
    # Min-SNR never trains the sampler's first step, and the report says so
    for coefficient in ("min_snr", np.append(np.ones(999), 0)):
        script = {"prediction": "v", "coefficient": coefficient, "data_sd": 0.5, "shift": 2.0}
        assert "never trained" in str(audit(from_script(betas=ZERO_TERMINAL, **script)))


@pytest.mark.parametrize(
    ("prediction", "data_sd"),
    [("epsilon", 1.0), ("v_prediction", 0.3), ("sample", 1.0), ("flow", 0.3), ("F", 0.3)],
)
def test_the_coefficients_to_paste_make_the_script_what_is_wanted(prediction, data_sd):
    script = {"betas": SD_BETAS, "prediction": prediction, "data_sd": data_sd}
    objective = from_script(**script)
    w = objective.implied_weighting()
    for wanted in (made_monotone(w, *w.span), PUBLISHED["sigmoid"].implied_weighting()):
        pasted = coefficients(objective, wanted)
        again = from_script(**script, coefficient=pasted)
        steps = again.levels.steps  # between them, coefficients are read off a straight line
        ratio = again.implied_weighting()(steps) / wanted(steps)
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
        assert compare(again.implied_weighting(), wanted, *w.span).difference < 1e-2
        assert audit(again).monotone and pasted.mean() == pytest.approx(1)


def test_where_w_rises_is_said():
    levels = np.linspace(-8, 8, 4001)
    bump = 1 + np.exp(-((levels - 2) ** 2)) - expit(levels + 3)
    ((low, high, by),) = rises(levels, bump)
    inside = (levels[:-1] > low) & (levels[1:] < high)
    assert (np.diff(bump)[inside] > 0).all() and (np.diff(bump)[levels[:-1] >= high] < 0).all()
    of_ends = np.interp([low, high], levels, bump)
    assert by == pytest.approx((of_ends[1] - of_ends[0]) / bump.max())
    assert rises(levels, np.exp(-levels)) == []


@pytest.mark.parametrize("sigmas", [(1e-4, 1e-3), (200, 1000)])
def test_levels_far_from_all_others_have_a_report_too(sigmas):
    assert "levels reached" in str(audit(from_script(sigmas=np.geomspace(*sigmas, 50))))


def test_a_density_with_thin_tails_has_a_report_of_finite_numbers():
    found = audit(from_script(density=lambda log_snr: np.exp(-(log_snr**2))))
    assert 1 < found.variance_ratio < 1.2


def test_the_report_says_which_levels_are_reached_and_where_the_loss_is_earned():
    script = from_script(betas=SD_BETAS)
    said = re.search(
        r"from (\S+) to (\S+), (?s:.*) below λ = (\S+) and the middle half between (\S+) and (\S+)",
        str(audit(script)),
    )
    low, high, half, quarter, three = map(float, said.groups())
    assert (low, high) == (-5.36, 7.07)  # of Stable Diffusion 1.5
    w, errors = script.implied_weighting(), error_curve()
    whole = weighted_loss(w, errors, low, high)
    for level, share in ((quarter, 0.25), (half, 0.5), (three, 0.75)):
        assert weighted_loss(w, errors, low, level) == pytest.approx(share * whole, rel=0.05)


def of_list(**more):
    return lambda: from_script(**{"betas": SD_BETAS} | more)


test_bad_input_is_refused_in_a_sentence = refused(
    (from_script, "none of them"),
    (of_list(density="uniform"), "got betas, density"),
    (of_list(prediction="vpred"), "did you mean 'v_prediction'"),
    (of_list(coefficient=np.ones(999)), "999 coefficients beside 1000"),
    (of_list(coefficient=-np.ones(1000)), "a coefficient must be finite and not negative"),
    (of_list(coefficient="minsnr"), "did you mean 'min_snr'"),
    (of_list(coefficient=("p2", 1, 1, 9)), "does not take"),
    (of_list(coefficient=lambda SNR: 1 / (1 + SNR**2)), "'SNR': did you mean 'snr'"),
    (of_list(coefficient=lambda sigma2: sigma2**2), "'sigma2': did you mean 'sigma'"),
    (of_list(betas=np.ma.masked_less(SD_BETAS, 0.001)), "masked entries"),
    (of_list(coefficient=np.ma.masked_less(SD_BETAS, 0.001)), "masked entries"),
    (of_list(draws=np.ma.masked_less(np.arange(1000), 9)), "9 masked entries"),
    (of_list(draws=[1, 2, 1000]), "from 0 to 999"),
    (of_list(shift=0.0), "shift and data_sd must be positive"),
    (of_list(betas=[0.1, 0.2, 0.3, 1], coefficient=[1, 1, 1, np.inf]), "finite"),
    (of_list(betas=np.append(1.0, SD_BETAS)), "betas must be"),
    (lambda: from_script(draws=[]), "0 draws"),
    (lambda: from_script(density="lognorm"), "did you mean 'lognormal'"),
    (lambda: from_script(density=("logit_normal", 0.0, -1.0)), "finite range"),
    (lambda: from_script(alpha_bars=alpha_bar(SD_BETAS)[::-1]), r"\[::-1\]"),
    (lambda: from_script(sigmas=[0.1, 0.5, 1.5], prediction="flow"), "at most 1"),
    (lambda: coefficients(from_script(density="uniform"), np.exp), "only a list of steps"),
    (lambda: coefficients(of_list()(), lambda log_snr: -np.exp(log_snr)), "not negative"),
    (of_list(betas=SD_BETAS[::-1]), "betas fall"),
    (of_list(betas=[]), "at least three"),
    (lambda: from_script(alpha_bars=np.append(1.1, alpha_bar(SD_BETAS))), "ᾱ .* between 1"),
    (lambda: from_script(alpha_bars=np.append(1.0, alpha_bar(SD_BETAS))), "clean data"),
    (lambda: audit(from_script(sigmas=[1e-9, 2e-9, 3e-9])), "far cleaner than any data"),
    (lambda: audit(from_script(betas="linear", coefficient=0)), "w is zero at all levels"),
)


def test_the_command(tmp_path, capsys):
    pasted, picture = tmp_path / "monotone.csv", tmp_path / "w.png"
    semicolons = tmp_path / "semicolons.csv"
    np.savetxt(semicolons, SD_BETAS[None], delimiter=";")
    main(["--betas", "scaled_linear", "--make-monotone", str(pasted)])
    assert "w is not monotone" in capsys.readouterr().out
    main(["--betas", "scaled_linear", "--coefficient", str(pasted), "--picture", str(picture)])
    assert "w is monotone" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")
    main(["--density", "cosmap", "--shift", "2.71828"])
    assert "cosine, ε-loss (iDDPM) moved by -2.0 along λ" in capsys.readouterr().out
    for arguments, words in (
        (["--betas", "lineal"], "did you mean 'linear'"),
        (["--betas", "no_such.csv"], "No such file or directory: 'no_such.csv'"),
        (["--betas", str(picture)], "w.png is no text of numbers alone"),
        (["--betas", str(semicolons)], "semicolons.csv is no text of numbers alone"),
        (["--betas", "linear", "--coefficient", "-.5"], "a coefficient must be finite and not"),
        (["--betas", "linear", "--shift", "a"], "invalid float value: 'a'"),
        (["--density", "logit_normal:x"], "to float: 'x'"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        said = capsys.readouterr().err
        assert words in said and len(said) < 1000
