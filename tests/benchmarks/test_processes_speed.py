"""How fast simulation is, beside the normal numbers it cannot do without, and other libraries.

20,000 particles, 1000 steps, float64, one thread, runs interleaved. A row is the best processor
time and the median of the ratios of neighbouring runs; no time is asserted. The other libraries
are not part of the course: `make bench` puts them beside it. Run

    OMP_NUM_THREADS=1 python -m pytest -m benchmark tests/benchmarks/test_processes_speed.py
"""

import time

import numpy as np
import pytest

from course_utils import forward, samplers
from course_utils.schedules import LinearBeta, ddpm_betas, discrete_betas, log_snr_from_alpha_bar

pytestmark = pytest.mark.benchmark

SAMPLER = "course_utils, ancestral sampler with ε̂ = 0"
PARTICLES, STEPS = 20_000, 1000
X0 = np.full((PARTICLES, 1), 1.5)
CHAIN = ddpm_betas(STEPS)
EULER = discrete_betas(LinearBeta(), STEPS, "left")
LEVELS = log_snr_from_alpha_bar(np.cumprod(1 - CHAIN)[::-1])


def rng():
    return np.random.default_rng(0)


def drain(states):
    for _ in states:
        pass


def bare_normals():
    generator = rng()
    for _ in range(STEPS):
        generator.standard_normal(X0.shape)


def kept_normals():
    generator = rng()
    return [generator.standard_normal(X0.shape) for _ in range(STEPS)]


def no_noise_predicted(z, log_snr):
    return np.zeros_like(z)


def sampler(step):
    return lambda: drain(samplers.sample_states(no_noise_predicted, LEVELS, X0, step, rng()))


def chain_end():
    forward.simulate_chain(X0, CHAIN, rng())


def sde_end():
    forward.simulate_sde(X0, EULER, rng())


def interleaved_times(work, repeats):
    """Return the processor times in seconds of each piece of work, [repeats], run in turn."""
    times = {name: [] for name in work}
    for function in work.values():
        function()
    for _ in range(repeats):
        for name, function in work.items():
            start = time.process_time()
            function()
            times[name].append(time.process_time() - start)
    return {name: np.array(seconds) for name, seconds in times.items()}


def show(capsys, title, times, reference, speed=None, row=None):
    if speed and row:
        ratios = times[reference] / times[row]
        how = f"{PARTICLES:,} particles × {STEPS} steps, {len(ratios)} runs of each in turns"
        speed(f"simulating: {row}", reference, ratios, how, "times the speed")
    with capsys.disabled():
        print(f"\n{title} ({PARTICLES:,} particles × {STEPS} steps)")
        for name, seconds in times.items():
            ratio = np.median(times[reference] / seconds)
            print(f"  {name:<44} {seconds.min():8.3f} s   speed / {reference}: {ratio:5.2f}")


def test_ratio_to_bare_normals(capsys, speed):
    work = {
        "bare normals": bare_normals,
        "chain, end state": chain_end,
        "chain, generator of states": lambda: drain(forward.chain_states(X0, CHAIN, rng())),
        "Euler–Maruyama, end state": sde_end,
        "Euler–Maruyama, generator of states": lambda: drain(
            forward.euler_maruyama_states(X0, EULER, rng())
        ),
    }
    show(capsys, "Forward", interleaved_times(work, 15), "bare normals", speed, "chain, end state")


def test_keeping_every_state(capsys):
    work = {
        "bare normals, all kept": kept_normals,
        "chain, list of states": lambda: list(forward.chain_states(X0, CHAIN, rng())),
    }
    show(capsys, "Every state kept", interleaved_times(work, 5), "bare normals, all kept")


def test_samplers_without_a_network(capsys):
    work = {
        "bare normals": bare_normals,
        "ancestral": sampler(samplers.ancestral_step),
        "reverse SDE": sampler(samplers.reverse_sde_step),
        "DDIM": sampler(samplers.ddim_step),
        "ODE, Heun": sampler(samplers.heun_step),
    }
    show(capsys, "Samplers with ε̂ = 0", interleaved_times(work, 3), "bare normals")


def test_against_torchsde(capsys, speed):
    torch = pytest.importorskip("torch")
    torchsde = pytest.importorskip("torchsde")
    torch.set_num_threads(1)

    class VariancePreserving(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t, x):
            return -0.5 * (0.1 + 19.9 * t) * x

        def g(self, t, x):
            return torch.sqrt(0.1 + 19.9 * t) * torch.ones_like(x)

    x0 = torch.tensor(X0)
    ends = torch.tensor([0.0, 1.0], dtype=x0.dtype)

    def theirs():
        with torch.no_grad():
            torchsde.sdeint(VariancePreserving(), x0, ends, method="euler", dt=1 / STEPS)

    work = {"course_utils, Euler–Maruyama": sde_end, "torchsde, euler": theirs}
    times = interleaved_times(work, 5)
    show(
        capsys, "Against torchsde", times, "torchsde, euler", speed, "course_utils, Euler–Maruyama"
    )


def test_against_diffusers(capsys, speed):
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    torch.set_num_threads(1)
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=STEPS, clip_sample=False)
    zero = torch.zeros(X0.shape, dtype=torch.float64)

    def theirs():
        generator = torch.Generator().manual_seed(0)
        z = torch.tensor(X0)
        for t in range(STEPS - 1, -1, -1):
            z = scheduler.step(zero, t, z, generator=generator).prev_sample

    work = {
        "course_utils, chain": chain_end,
        SAMPLER: sampler(samplers.ancestral_step),
        "diffusers, DDPMScheduler.step": theirs,
    }
    times = interleaved_times(work, 5)
    show(capsys, "Against diffusers", times, "diffusers, DDPMScheduler.step", speed, SAMPLER)
