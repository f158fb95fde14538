"""The recipe is held by a golden run and by laws; the network learns the ideal denoiser."""

from dataclasses import replace

import numpy as np
import pytest
from comparing import assert_close, largest_difference, refused, refuses, standard_errors_off

from course_utils.mixtures import GaussianMixture
from course_utils.objectives import PUBLISHED
from course_utils.predictions import convert
from course_utils.schedules import alpha
from course_utils.training.recipe import LevelSampler, Recipe
from course_utils.weightings import sigmoid

torch = pytest.importorskip("torch")
from course_utils.training import networks  # noqa: E402
from course_utils.training.networks import batch_loss, draw_batches, train  # noqa: E402

LAW = GaussianMixture([0.35, 0.65], [[-1.2, 0.6], [0.8, -0.4]], [0.06, 0.16])
SMALL = Recipe(n_steps=400, width=48, n_blocks=2, learning_rate=1e-2)
TINY = Recipe(n_steps=12, batch=16, width=8, n_blocks=1)


rng = np.random.default_rng


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def trained():
    return train(LAW.sample(4000, rng(0)), sigmoid(2), seed=0, recipe=SMALL)


GOLDEN = Recipe(n_steps=20, batch=16, width=8, n_blocks=2, learning_rate=4e-2, skip=True)
LOSSES = """
    0.84044644 0.67368428 0.89354626 0.87217640 0.69621655 1.12905927 0.55929067
    0.88048069 0.71669147 0.45657518 0.61331377 0.86224159 0.52579984 0.68378328
    0.65097697 0.91535647 0.37678308 0.65475537 0.76953022 0.59822294
"""
EPS = [[0.43012448, -1.26241821], [1.38135819, 0.27211535]]


def test_twenty_steps_give_the_numbers_that_they_gave(monkeypatch):
    """A change of these numbers is a change of the recipe: the stored study is then another's."""
    monkeypatch.setattr(networks, "CHUNK", 10)  # so that levels adapt once
    x = rng(0).standard_normal((200, 2)) * [1.0, 0.3]
    made = train(x, sigmoid(2), seed=0, recipe=GOLDEN, device="cpu", dtype=torch.float64)
    assert_close(made.losses, np.array(LOSSES.split(), dtype=float), atol=1e-6)
    assert_close(made.eps([[0.5, -1.0], [2.0, 0.1]], 0.5), EPS, atol=1e-6)


def test_the_rate_rises_over_sixty_steps_and_stays():
    recipe = Recipe(learning_rate=6.0)
    assert_close([recipe.rate(step) for step in (0, 29, 59, 60, 10**6)], [0.1, 3, 6, 6, 6])


def drawn(w, kind, x, n_batches, batch):
    """The sampler of levels, and what it draws of the data x."""
    levels = LevelSampler(w, Recipe(levels=kind))
    return levels, draw_batches(x, levels, n_batches, batch, generator(0))


def test_weightings_and_kinds_of_levels_see_the_same_images_and_noise():
    x = torch.randn(50, 3, generator=generator(7))
    found = []
    for w, kind in ((sigmoid(2), "adaptive"), (np.ones_like, "uniform"), (sigmoid(0), "edm")):
        z, level, v, _ = (part.double().numpy() for part in drawn(w, kind, x, 5, 8)[1])
        found.append([convert(v, z, level[..., None], "v", to) for to in ("x", "eps")])
    assert_close(found[1], found[0], atol=1e-4)
    assert_close(found[2], found[0], atol=1e-4)


@pytest.mark.parametrize("kind", ["adaptive", "uniform", "cosine_v", "edm"])
@pytest.mark.parametrize("name", ["elbo", "edm", "cosine_v"])
def test_the_loss_is_free_of_bias_wherever_levels_are_drawn(name, kind):
    """Data N(0, 1): v has variance 1, so v̂ = 0 has loss 1 under every w and every p."""
    x = torch.randn(4000, 2, generator=generator(5))
    x = (x - x.mean(dim=0)) / x.std(dim=0, correction=0)
    levels, draws = drawn(PUBLISHED[name].implied_weighting(), kind, x, 400, 64)
    for _ in range(2):  # the second time adaptive levels have seen an odd error
        batches = zip(*draws, strict=True)
        losses = [float(batch_loss(lambda z, _: 0 * z, *batch)[0]) for batch in batches]
        assert standard_errors_off(np.mean(losses), np.std(losses, ddof=1) / 20, 1.0) < 4.5
        levels.observe(np.linspace(-10, 6, 2000), np.linspace(0, 3, 2000))
        draws = draw_batches(x, levels, 400, 64, generator(1))


def test_a_trained_network_nears_the_ideal_denoiser(trained):
    fresh, noise = LAW.sample(4000, rng(1)), rng(2).standard_normal((4000, 2))
    for level in (-2.0, 0.0, 2.0, 4.0):
        z = alpha(level) * fresh + alpha(-level) * noise
        predictions = LAW.eps(z, level), alpha(-level) * z, trained.eps(z, level)
        ideal, untrained, found = (np.mean((noise - eps) ** 2) for eps in predictions)
        assert found < ideal + 0.2 * (untrained - ideal), f"level {level}"
    refuses("do not fit", trained.eps, z[:4], np.zeros(4))


def set_torch(threads, dtype, grad, device, strict):
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(grad)
    torch.set_default_device(device)
    torch.use_deterministic_algorithms(strict)


def test_a_run_is_its_seed_s_whatever_torch_is_set_to_and_leaves_it_so():
    x = LAW.sample(50, rng(0))
    made = {seed: train(x, sigmoid(0), seed=seed, recipe=TINY, device="cpu") for seed in (3, 4)}
    assert largest_difference(made[3].losses, made[4].losses) > 0.01
    before = torch.get_rng_state(), torch.get_num_threads()
    try:
        set_torch(2, torch.float64, False, "meta", True)
        again = train(x, sigmoid(0), seed=np.int64(3), recipe=TINY, device="cpu")
        samples = [each.sample(3, rng(0), n_steps=4) for each in (made[3], again)]
        found = (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled())
    finally:
        set_torch(before[1], torch.float32, True, None, False)
    assert found == (2, torch.float64, False)
    assert torch.equal(before[0], torch.get_rng_state())
    assert_close(again.losses, made[3].losses)
    assert_close(samples[1], samples[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_uses_the_gpu():
    made = train(LAW.sample(50, rng(0)), sigmoid(0), seed=0, recipe=TINY)
    assert made.network.first.weight.is_cuda and made.sample(5, rng(0), n_steps=3).shape == (5, 2)


test_a_recipe_that_cannot_be_meant_is_refused = refused(
    (lambda: Recipe(log_snr_min=6.0), "range"),
    (lambda: Recipe(levels="adaptve"), "did you mean 'adaptive'"),
    (lambda: Recipe(memory=2), r"memory < 1, got .*memory=2\b"),
    (lambda: Recipe(learning_rate=np.nan), "learning_rate=nan"),
    (lambda: Recipe(n_steps=0), r"at least 1, .*n_steps=0\b"),
    (lambda: Recipe(batch=1.5), r"at least 1, .*batch=1\.5"),
    (lambda: Recipe(width=-1), r"at least 1, .*width=-1"),
    (lambda: Recipe(n_blocks=0), r"at least 1, .*n_blocks=0"),
    (lambda: LevelSampler(np.zeros_like, Recipe()), "w is zero"),
)


def test_a_run_that_diverges_says_what_to_do():
    x, wild = rng(0).standard_normal((30, 2)), replace(TINY, n_steps=60, learning_rate=1e25)
    words = r"diverged before step 60.*learning_rate, 1e\+25"
    refuses(words, train, x, np.ones_like, seed=0, recipe=wild)
