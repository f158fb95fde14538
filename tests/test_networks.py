"""The network learns the ideal denoiser; its loss is L_w, however levels are drawn."""

import io
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from comparing import assert_close, relative_difference, standard_errors_off

from course_utils.classroom.progress import progress
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import PUBLISHED
from course_utils.predictions import convert
from course_utils.samplers import ddim_coefficients, sample
from course_utils.schedules import alpha
from course_utils.weightings import sigmoid

torch = pytest.importorskip("torch")
from course_utils.training.networks import (
    LEVELS,
    LevelSampler,
    Network,
    Recipe,
    Trained,
    batch_loss,
    draw_batches,
    gradient_variance,
    load,
    train,
    training,
    uniform_times,
)

LAW = GaussianMixture([0.35, 0.65], [[-1.2, 0.6], [0.8, -0.4]], [0.06, 0.16])
SMALL = Recipe(n_steps=400, width=48, n_blocks=2, learning_rate=1e-2, ema=0.98)
GRID = np.linspace(-8, 6, 8)


def flat(log_snr):
    return np.ones_like(log_snr)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def trained():
    return train(LAW.sample(4000, rng()), sigmoid(2), seed=0, recipe=SMALL)


def zero_network(dim=2):
    return Network(dim, 16, 1, generator=generator())


# --- it learns ----------------------------------------------------------------------------------


def test_a_trained_network_nears_the_ideal_denoiser(trained):
    fresh = LAW.sample(4000, rng(1))
    for level in (-2.0, 0.0, 2.0, 4.0):
        noise = rng(2).standard_normal(fresh.shape)
        z = alpha(level) * fresh + alpha(-level) * noise
        ideal = np.sum((noise - LAW.eps(z, level)) ** 2, axis=1).mean()
        untrained = np.sum((noise - alpha(-level) * z) ** 2, axis=1).mean()
        found = np.sum((noise - trained.eps(z, level)) ** 2, axis=1).mean()
        assert found < ideal + 0.2 * (untrained - ideal), f"level {level}"


def test_its_samples_have_the_data_s_moments(trained):
    z = sample(trained.eps, np.linspace(-8, 6, 33), rng().standard_normal((1500, 2)))
    real = LAW.sample(100_000, rng(3))
    assert_close(z.mean(axis=0), real.mean(axis=0), atol=0.15)
    assert_close(np.cov(z.T), np.cov(real.T), atol=0.2)


def test_its_own_sampler_takes_the_same_steps(trained):
    x = trained.sample(200, generator(4), n_steps=20)
    start = torch.randn((200, 2), generator=generator(4)).numpy().astype(float)
    z = sample(trained.eps, np.linspace(-10, 6, 21), start)
    expected = convert(trained.eps(z, 6.0), z, np.float64(6.0), "eps", "x")
    assert_close(x, expected, atol=2e-4)


def test_ancestral_samples_of_the_ideal_network_are_the_data():
    """v̂ = 0 is exact for N(0, 1): with any η the variance stays 1 but for what the steps lose."""
    made = Trained(zero_network(), Recipe(width=16, n_blocks=1), 2)
    for eta in (0.0, 0.5, 1.0):
        x = made.sample(20_000, generator(1), n_steps=200, eta=eta)
        grid = np.linspace(-10, 6, 201)
        step = ddim_coefficients(grid[:-1], grid[1:], eta)
        variance = 1.0
        for keep, eps_hat, noise, s in zip(
            *np.broadcast_arrays(*step, alpha(-grid[:-1])), strict=True
        ):
            variance = (keep + eps_hat * s) ** 2 * variance + noise**2
        expected = alpha(6.0) ** 2 * variance
        assert standard_errors_off(x.var(), expected * np.sqrt(2 / x.size), expected) < 4.5
        assert abs(expected - 1) < 0.06


def test_a_narrow_network_needs_the_skip_to_pass_noise_on():
    """Data of one dimension in 24: v̂ = ε outside it, which a width of 8 cannot hold."""
    x = np.zeros((500, 24))
    x[:, 0] = rng().choice([-1.0, 1.0], 500)
    recipe = Recipe(n_steps=300, width=8, n_blocks=1, learning_rate=1e-2, ema=0.9)
    noise = rng(1).standard_normal(x.shape)
    z = alpha(3.0) * x + alpha(-3.0) * noise
    error = {}
    for skip in (False, True):
        made = train(x, flat, seed=0, recipe=replace(recipe, skip=skip))
        error[skip] = np.mean((noise - made.eps(z, 3.0)) ** 2)
    assert error[True] < 0.05 < 0.4 < error[False]


def test_the_weighting_matters_to_what_is_learnt():
    """All weight on low λ leaves high λ untrained, and the other way round."""
    x = LAW.sample(2000, rng())
    recipe = Recipe(n_steps=120, width=32, n_blocks=1, learning_rate=1e-2, ema=0.9)
    noisy, clean = (
        train(x, lambda s, way=way: np.exp(-0.5 * (s - way) ** 2), seed=0, recipe=recipe)
        for way in (-3.0, 3.0)
    )
    noise = rng(2).standard_normal(x.shape)
    for level, better, worse in ((-3.0, noisy, clean), (3.0, clean, noisy)):
        z = alpha(level) * x + alpha(-level) * noise
        errors = [np.mean((noise - model.eps(z, level)) ** 2) for model in (better, worse)]
        assert errors[0] < errors[1]


# --- the loss is the weighted loss ----------------------------------------------------------------


@pytest.mark.parametrize("kind", LEVELS)
@pytest.mark.parametrize("name", ["elbo", "edm", "cosine_v"])
def test_loss_of_no_prediction_is_one_for_every_density_of_levels(name, kind):
    """Data N(0, 1): v has variance 1, so v̂ = 0 has loss 1 under every w and every p."""
    x = torch.randn(4000, 2, generator=generator(5))
    x = (x - x.mean(dim=0)) / x.std(dim=0, correction=0)
    levels = LevelSampler(PUBLISHED[name].implied_weighting(), -10, 6, kind)
    for seed in range(2):  # the second time an adaptive schedule has seen an odd error
        draws = draw_batches(x, levels, 400, 64, generator(seed))
        loss, error = batch_loss(zero_network(), *(part.flatten(0, 1) for part in draws))
        losses = (draws.coefficient * error.reshape(400, 64)).mean(dim=1).numpy()
        assert float(loss.detach()) == pytest.approx(np.mean(losses), rel=1e-5)
        error = np.std(losses, ddof=1) / 20
        assert standard_errors_off(np.mean(losses), error, 1.0) < 4.5
        levels.observe(np.linspace(-10, 6, 2000), np.linspace(0, 3, 2000))


def test_levels_follow_their_density():
    levels = LevelSampler(sigmoid(1), -10, 6)
    levels.observe(np.full(300, 2.5), np.full(300, 50.0))  # all error about λ = 2.5
    drawn, _ = levels.draw((np.arange(20_000) + 0.5) / 20_000)
    near = np.mean(np.abs(drawn - 2.5) < 0.5)
    assert near > 0.5
    edges = np.linspace(-10, 6, 9)
    share = np.histogram(drawn, edges)[0] / len(drawn)
    fine = np.linspace(-10, 6, 80_001)
    middle = (fine[1:] + fine[:-1]) / 2
    mass = levels.schedule.density(middle) * np.diff(fine)
    assert_close(share, mass.reshape(8, -1).sum(axis=1), atol=2e-3)


def test_low_discrepancy_times_are_uniform_and_even():
    u = uniform_times(500, 16, generator())
    cells = np.sort((u * 16).astype(int) % 16, axis=1)
    assert (cells == np.arange(16)).all()  # one in each sixteenth, in every batch
    assert abs(u[:, 0].mean() - 0.5) < 4.5 / np.sqrt(12 * 500)
    plain = uniform_times(500, 16, generator(), low_discrepancy=False)
    assert plain.shape == (500, 16) and (plain >= 0).all() and (plain < 1).all()
    assert not (np.sort((plain * 16).astype(int), axis=1) == np.arange(16)).all()


def test_latents_are_at_their_levels():
    x = torch.full((10, 3), 0.7)
    draws = draw_batches(x, LevelSampler(flat, -10, 6), 3, 8, generator())
    z, v, log_snr = (t.numpy().astype(float) for t in (draws.z, draws.v, draws.log_snr[..., None]))
    for i in range(3):
        assert_close(convert(v[i], z[i], log_snr[i], "v", "x"), np.full((8, 3), 0.7), atol=1e-5)


def test_where_levels_are_drawn_changes_the_gradient_s_noise(trained):
    network = trained.network.requires_grad_(True)
    x = torch.tensor(LAW.sample(4000, rng()), dtype=torch.float32)
    noise = {}
    for kind in ("cosine", "adaptive"):
        levels = LevelSampler(flat, -10, 6, kind)
        for seed in range(4):  # an adaptive schedule must have looked first
            draws = draw_batches(x, levels, 10, 64, generator(seed))
            with torch.no_grad():
                error = [batch_loss(network, *one)[1].numpy() for one in zip(*draws, strict=True)]
            log_snr = draws.log_snr.numpy().astype(float)
            levels.observe(log_snr, np.stack(error) * alpha(log_snr) ** 2)
        noise[kind] = gradient_variance(
            network, x, levels, batch=64, n_batches=120, generator=generator(9)
        )
    network.requires_grad_(False)
    assert noise["adaptive"] < 0.7 * noise["cosine"]
    with pytest.raises(ValueError, match=r"n_batches .* at least 2"):
        gradient_variance(network, x, levels, batch=4, n_batches=1, generator=generator())


def test_gradient_variance_of_a_known_case():
    """One weight a, gradient a·b − c_i: computed by hand from the batches."""

    class Scale(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Parameter(torch.tensor(2.0))

        def forward(self, z, log_snr):
            return self.a * z

    x, levels = torch.randn(500, 1, generator=generator()), LevelSampler(flat, -2, 2, "uniform")
    found = gradient_variance(Scale(), x, levels, batch=8, n_batches=50, generator=generator(1))
    z, _, v, c = draw_batches(x, levels, 50, 8, generator(1))
    g = (c * 2 * (2 * z - v)[..., 0] * z[..., 0]).mean(dim=1).double().numpy()
    assert found == pytest.approx(g.var(ddof=1), rel=1e-5)


# --- seeds, averages, checkpoints ----------------------------------------------------------------


def test_a_seed_fixes_the_run_and_nothing_global_moves():
    x, recipe = LAW.sample(50, rng()), Recipe(n_steps=12, width=8, n_blocks=1)
    state = torch.get_rng_state()
    runs = [train(x, flat, seed=seed, recipe=recipe) for seed in (3, 3, 4)]
    assert torch.equal(state, torch.get_rng_state())
    assert_close(runs[0].losses, runs[1].losses, atol=0)
    z = rng().standard_normal((5, 2))
    assert_close(runs[0].eps(z, 1.0), runs[1].eps(z, 1.0), atol=0)
    assert relative_difference(runs[0].losses, runs[2].losses) > 0.01
    assert runs[0].losses.shape == (12,)


def test_the_average_follows_the_weights():
    x = torch.randn(50, 2, generator=generator())
    for ema, equal in ((0.0, True), (0.9, False)):
        network, average = zero_network(), zero_network()
        recipe = Recipe(n_steps=13, width=16, n_blocks=1, ema=ema)
        assert len(list(training(network, average, x, flat, recipe, generator()))) == 13
        pairs = zip(network.parameters(), average.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) is equal


def test_a_checkpoint_comes_back_with_its_skip(tmp_path):
    recipe = Recipe(n_steps=20, width=8, n_blocks=1, skip=True, learning_rate=1e-2)
    made = train(LAW.sample(50, rng()), flat, seed=0, recipe=recipe)
    made.save(tmp_path / "skip.pt")
    z = rng().standard_normal((6, 2))
    assert_close(load(tmp_path / "skip.pt").eps(z, 1.0), made.eps(z, 1.0), atol=0)


def test_a_checkpoint_comes_back_and_runs_no_code(trained, tmp_path):
    trained.save(tmp_path / "denoiser.pt")
    back = load(tmp_path / "denoiser.pt")
    z = rng().standard_normal((6, 2))
    levels = np.linspace(-10, 6, 6)[:, None]
    assert_close(back.eps(z, levels), trained.eps(z, levels), atol=0)
    assert back.recipe == trained.recipe
    assert_close(back.losses, trained.losses, atol=0)
    torch.save({"recipe": SimpleNamespace(evil=print)}, tmp_path / "other.pt")
    with pytest.raises(Exception, match="weights_only"):
        load(tmp_path / "other.pt")


def test_one_level_for_all_is_that_level_for_each(trained):
    z = rng().standard_normal((6, 2))
    assert_close(trained.eps(z, 1.5), trained.eps(z, np.full((6, 1), 1.5)), atol=1e-6)


def test_one_thread_on_the_cpu():
    assert torch.get_num_threads() == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_uses_the_gpu():
    x = LAW.sample(50, rng())
    made = train(x, flat, seed=0, recipe=Recipe(n_steps=10, width=8, n_blocks=1))
    assert next(made.network.parameters()).is_cuda
    assert made.eps(x, 0.0).shape == x.shape


# --- wrong input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_steps": 0}, "n_steps"),
        ({"ema": 1.0}, "ema"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"log_snr_min": 7.0}, "range"),
        ({"width": 2.5}, "width"),
        ({"levels": "adaptve"}, "did you mean 'adaptive'"),
        ({"skip": "no"}, "skip must be a bool, got 'no'"),
    ],
)
def test_a_bad_recipe_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**change)


def test_bad_data_levels_and_weightings_are_refused(trained):
    tiny = Recipe(n_steps=1, width=4, n_blocks=1)
    for x, message in (
        (np.zeros(5), "finite data"),
        (np.zeros((0, 2)), "finite data"),
        (np.array([[np.nan]]), "nan"),
        (np.array([[1e39]]), "float32, got 1e"),
    ):
        with pytest.raises(ValueError, match=message):
            train(x, flat, seed=0, recipe=tiny)
    x = np.zeros((4, 2))
    with pytest.raises(ValueError, match=r"recipe must be a Recipe, got \{'n_steps': 1\}"):
        train(x, flat, seed=0, recipe={"n_steps": 1})
    with pytest.raises(ValueError, match=r"seed must be a whole number.*got 1\.5"):
        train(x, flat, seed=1.5, recipe=tiny)
    with pytest.raises(ValueError, match="not negative"):
        train(x, lambda s: -flat(s), seed=0, recipe=tiny)
    with pytest.raises(ValueError, match="is zero"):
        train(x, lambda s: 0 * s, seed=0, recipe=tiny)
    with pytest.raises(ValueError, match="'adaptive'"):
        LevelSampler(flat, -10, 6, "adaptiv")
    with pytest.raises(ValueError, match="trained on λ"):
        trained.eps(x, 7.0)
    with pytest.raises(ValueError, match="do not fit"):
        trained.eps(x, np.zeros(4))
    with pytest.raises(ValueError, match="must be"):
        trained.eps(np.zeros((4, 3)), 0.0)


def test_a_weighting_that_is_zero_at_every_edge_of_the_bins_samples_uniformly_at_first():
    edges = np.linspace(-10, 6, 65)
    levels = LevelSampler(lambda at: np.abs(at[..., None] - edges).min(axis=-1) > 1e-9, -10, 6)
    np.testing.assert_allclose(levels.draw(np.array([0.25, 0.5]))[0], [2, -2], atol=1e-9)


def test_a_run_that_diverges_says_where_and_what_to_do():
    x = rng().standard_normal((30, 2))
    calm = dict(n_steps=60, width=8, n_blocks=1, batch=8, levels="uniform")
    assert np.isfinite(train(x, flat, seed=0, recipe=Recipe(**calm)).losses).all()
    with pytest.raises(ValueError, match=r"diverged at step \d+ of 60.*learning_rate, 1e\+25"):
        train(x, flat, seed=0, recipe=Recipe(**calm, learning_rate=1e25))
    with pytest.raises(ValueError, match=r"diverged at step 0 of 60.*divide the data"):
        train(1e25 * x, flat, seed=0, recipe=Recipe(**calm))


def test_what_is_no_checkpoint_is_refused(trained, tmp_path):
    good = tmp_path / "good.pt"
    trained.save(good)
    half = tmp_path / "half.pt"
    half.write_bytes(good.read_bytes()[:2000])
    torch.save({"recipe": {"n_stps": 3}}, tmp_path / "recipe.pt")
    (tmp_path / "text.pt").write_text("not a checkpoint")
    for name in ("half.pt", "recipe.pt", "text.pt"):
        with pytest.raises(ValueError, match=f"{name} is no checkpoint"):
            load(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        load(tmp_path / "none.pt")
    with pytest.raises(ValueError, match=r'device must be "cpu".*got .gpu'):
        load(good, "gpu")


# --- the progress bar -----------------------------------------------------------------------------


def test_progress_is_silent_where_nobody_looks(capsys):
    assert list(progress(range(5), 5, "training")) == list(range(5))
    assert list(progress(range(3), 3, None)) == [0, 1, 2]
    out, err = capsys.readouterr()
    assert out == err == ""


def test_progress_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    list(progress(range(4), 4, "training"))
    last = sys.stderr.getvalue().split("\r")[-1]
    assert last == f"training {'█' * 30} 4/4\n"


def test_progress_in_a_notebook_shows_one_widget_and_writes_nothing(monkeypatch, capsys):
    import IPython
    import ipywidgets

    bars, shown = [], []

    def bar(*args, **kwargs):
        bars.append(real(*args, **kwargs))
        return bars[-1]

    real = ipywidgets.IntProgress
    monkeypatch.setattr(ipywidgets, "IntProgress", bar)
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr(IPython.display, "display", lambda data, raw: shown.append(data))
    assert list(progress(range(4), 4, "training")) == [0, 1, 2, 3]
    [data], [widget] = shown, bars
    assert data["text/plain"] == "training: a progress bar of 4 steps"
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    assert widget.value == widget.max == 4
    assert capsys.readouterr() == ("", "")
