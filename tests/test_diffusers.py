"""Schedules, samplers and training scripts against diffusers; samplers on the exact score.

Its tables are float32; where they are replaced by float64 ones, agreement is to rounding.
"""

import numpy as np
import pytest
from comparing import assert_close, refuses
from scipy.special import expit

from course_utils import samplers
from course_utils.atlas import ATLAS
from course_utils.audit import compare
from course_utils.datasets import galaxies
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import from_scheduler, from_script
from course_utils.schedules import (
    Cosine,
    alpha_bar,
    capped_cosine_betas,
    ddpm_betas,
    log_snr_from_alpha_bar,
)

torch = pytest.importorskip("torch")

LAW = GaussianMixture.from_data(galaxies())
BETAS = {"linear": ddpm_betas(), "scaled_linear": ddpm_betas(1000, 1e-4**0.5, 0.02**0.5) ** 2}
START = np.random.default_rng(0).standard_normal((50, 1))
NORMALS = np.random.default_rng(1).standard_normal((1001, 50, 1))


@pytest.fixture(scope="module")
def diffusers():
    """Imported by the first test: it takes seconds, and every worker collects this file."""
    return pytest.importorskip("diffusers")


class Replayed:
    """Random numbers that both sides are given, in one order."""

    def __init__(self):
        self.rows = iter(NORMALS)

    def standard_normal(self, shape):
        return next(self.rows).reshape(shape)


def levels_of(scheduler, kept):
    """Put float64 tables into a scheduler; return the levels of its time steps, and λ = ∞."""
    scheduler.alphas_cumprod = torch.from_numpy(kept)
    level = log_snr_from_alpha_bar(kept)
    return np.append(level[scheduler.timesteps.numpy()], np.inf)


def theirs(levels, step):
    """Take z along the levels with step(ε̂, i, z), in tensors."""
    z = START
    for i, level in enumerate(levels[:-1]):
        z = step(torch.from_numpy(LAW.eps(z, level)), i, torch.from_numpy(z)).numpy()
    return z


def ours(levels, step):
    """The same with a step of this course; the last goes to clean data."""
    rng = Replayed()
    z = samplers.sample(LAW.eps, levels[:-1], START, step, rng)
    return step(LAW.eps, z, levels[-2], levels[-1], rng)


@pytest.mark.parametrize("name", BETAS)
def test_lists_of_beta(name, diffusers):
    table = diffusers.DDIMScheduler(beta_schedule=name, beta_start=1e-4, beta_end=0.02)
    assert_close(table.betas.numpy(), BETAS[name], rtol=1e-6)
    np.testing.assert_allclose(table.alphas_cumprod.numpy(), alpha_bar(BETAS[name]), rtol=2e-5)


def test_the_cosine_list_is_the_cosine_schedule_cut_at_its_offset(diffusers):
    table = diffusers.DDIMScheduler(beta_schedule="squaredcos_cap_v2")
    schedule = Cosine(log_snr_max=Cosine().log_snr(0.008 / 1.008))
    kept = expit(schedule.log_snr(np.arange(1001) / 1000))
    assert_close(table.alphas_cumprod.numpy()[:-1], (kept / kept[0])[1:-1], atol=1e-6)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", BETAS)
def test_ddim(name, eta, diffusers):
    scheduler = diffusers.DDIMScheduler(clip_sample=False)
    scheduler.set_timesteps(50)
    levels = levels_of(scheduler, alpha_bar(BETAS[name]))

    def step(eps, i, z):
        noise, t = torch.from_numpy(NORMALS[i]), scheduler.timesteps[i]
        return scheduler.step(eps, t, z, eta=eta, variance_noise=noise).prev_sample

    def mine(*args):
        return samplers.ddim_step(*args, eta=eta)

    assert_close(theirs(levels, step), ours(levels, mine), atol=1e-12)


def test_ddpm(monkeypatch, diffusers):
    scheduler = diffusers.DDPMScheduler(clip_sample=False, variance_type="fixed_small")
    scheduler.set_timesteps(100)
    levels, noise = levels_of(scheduler, alpha_bar(BETAS["linear"])), Replayed()
    drawn = "diffusers.schedulers.scheduling_ddpm.randn_tensor"
    monkeypatch.setattr(drawn, lambda s, **_: torch.from_numpy(noise.standard_normal(tuple(s))))

    def step(eps, i, z):
        return scheduler.step(eps, scheduler.timesteps[i], z).prev_sample

    assert_close(theirs(levels, step), ours(levels, samplers.ancestral_step), atol=1e-12)


@pytest.mark.parametrize(("order", "mine"), [(1, samplers.ddim_step), (2, samplers.DpmSolver())])
def test_dpm_solver(order, mine, diffusers):
    scheduler = diffusers.DPMSolverMultistepScheduler(
        algorithm_type="dpmsolver++", solver_order=order, solver_type="midpoint"
    )
    scheduler.set_timesteps(40)
    levels = levels_of(scheduler, alpha_bar(BETAS["linear"]))
    scheduler.sigmas = torch.from_numpy(np.exp(-levels / 2))
    guesses = []

    def step(eps, i, z):  # what scheduler.step does, but for its float32
        scheduler._step_index = i
        guesses.append(scheduler.convert_model_output(eps, sample=z))
        if order == 1 or i in (0, 39):  # the last goes to clean data, by order 1
            return scheduler.dpm_solver_first_order_update(guesses[-1], sample=z)
        return scheduler.multistep_dpm_solver_second_order_update(guesses[-2:], sample=z)

    z = samplers.sample(LAW.eps, levels[:-1], START, mine)
    z = samplers.ddim_step(LAW.eps, z, *levels[-2:])
    assert_close(theirs(levels, step), z, atol=1e-12)
    if order == 2:
        assert np.abs(z - ours(levels, samplers.ddim_step)).max() > 0.01


def test_scripts(diffusers):
    from diffusers.training_utils import compute_density_for_timestep_sampling, compute_snr

    table = diffusers.DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
    )
    objective = from_scheduler(table)
    snr = compute_snr(table, torch.arange(1000)).numpy()
    np.testing.assert_allclose(np.exp(objective.levels.steps), snr, rtol=2e-4)  # float32
    # the factor of its training scripts for v, as an array and by name
    pasted = np.minimum(snr, 5) / (snr + 1)
    by_name = from_scheduler(table, coefficient=("min_snr", 5.0)).implied_weighting()
    by_array = from_scheduler(table, coefficient=pasted).implied_weighting()
    assert compare(by_name, by_array, -5, 7).difference < 1e-3
    table = diffusers.DDIMScheduler(beta_schedule="squaredcos_cap_v2")
    np.testing.assert_allclose(capped_cosine_betas(), table.betas.numpy(), rtol=1e-4)
    flow = from_scheduler(diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0))
    own = from_script(density="uniform", shift=3.0, prediction="flow")
    assert compare(flow.implied_weighting(), own.implied_weighting(), -5, 8).difference < 1e-3
    torch.manual_seed(0)
    draws = compute_density_for_timestep_sampling(
        "logit_normal", 200_000, logit_mean=0.5, logit_std=1.2
    )
    shares, levels = np.linspace(0.05, 0.95, 19), np.linspace(-30, 30, 60_001)
    density = from_script(density=("logit_normal", 0.5, 1.2), prediction="flow").density(levels)
    below = np.cumsum(density) * np.diff(levels)[0]
    expected = expit(-np.interp(1 - shares, below, levels) / 2)
    np.testing.assert_allclose(np.quantile(draws.numpy(), shares), expected, atol=5e-3)
    refuses("no table of training levels", from_scheduler, diffusers.EDMEulerScheduler())
    # one that has been sampled with, and one whose table of β is not what its model was trained on
    used = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    used.set_timesteps(28)
    assert_close(from_scheduler(used).levels.steps[:-1], flow.levels.steps[:-1])
    of_flow = dict(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0)
    used = diffusers.DPMSolverMultistepScheduler(**of_flow)
    refuses("density='uniform', prediction='flow'", from_scheduler, used)


def test_the_lists_of_the_atlas(diffusers):
    """The levels of a scheduler of diffusers for each entry that has one."""
    sd = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    ddim = diffusers.DDIMScheduler
    found = {
        "sd15": ddim(**sd),
        "sd21_v": ddim(**sd, prediction_type="v_prediction"),
        "sd_zero_snr": ddim(**sd, prediction_type="v_prediction", rescale_betas_zero_snr=True),
        "dit": ddim(),
        "mar": ddim(beta_schedule="squaredcos_cap_v2"),
        "kandinsky21": ddim(beta_start=0.00085, beta_end=0.012),
        "hunyuan_dit": ddim(**sd | {"beta_end": 0.018}, prediction_type="v_prediction"),
        "audioldm": ddim(**sd | {"beta_start": 0.0015, "beta_end": 0.0195}),
        "cogvideox_2b": diffusers.CogVideoXDDIMScheduler(
            prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=3.0
        ),
        "f5_tts": diffusers.FlowMatchEulerDiscreteScheduler(),
    }
    for key, scheduler in found.items():
        theirs = from_scheduler(scheduler).implied_weighting()
        ours = ATLAS[key].objective().implied_weighting()
        assert compare(theirs, ours, -5, 4).difference < 2e-3, key
    wrong = from_scheduler(found["kandinsky21"]).implied_weighting()
    assert compare(wrong, ATLAS["sd15"].objective().implied_weighting(), -5, 4).difference > 0.02
