"""Runs trained together come out as each would alone."""

import numpy as np
import pytest
from comparing import assert_close, relative_difference

from course_utils.datasets import digits
from course_utils.objectives import PUBLISHED
from course_utils.weightings import sigmoid

torch = pytest.importorskip("torch")
from course_utils.training.batched import Stack, train_together  # noqa: E402
from course_utils.training.networks import Network, Recipe, train  # noqa: E402

RECIPE = Recipe(n_steps=100, width=32, n_blocks=2, batch=32, learning_rate=1e-2, ema=0.9)
P2, EDM = (PUBLISHED[name].implied_weighting() for name in ("p2", "edm"))
RUNS = [(sigmoid(2), 0), (P2, 0), (EDM, 3), (sigmoid(2), 1)]
ROUNDING = 1e-5  # relative; measured 4e-7 after 100 steps, and 0.05 for another weighting or seed


def together(runs, recipe=RECIPE, device="cpu"):
    weightings, seeds = zip(*runs, strict=True)
    return train_together(digits()[0], weightings, seeds, recipe=recipe, device=device)


def alone(w, seed, recipe=RECIPE, device="cpu"):
    return train(digits()[0], w, seed=seed, recipe=recipe, device=device)


def apart(one, other):
    """How far two runs are apart, relative: in losses, in weights and in samples."""
    weights = [
        torch.cat([p.flatten() for p in run.network.parameters()]).numpy() for run in (one, other)
    ]
    samples = [
        run.sample(20, torch.Generator().manual_seed(0), n_steps=8, eta=1) for run in (one, other)
    ]
    return [
        float(np.linalg.norm(a - b) / np.linalg.norm(b))
        for a, b in ((one.losses, other.losses), weights, samples)
    ]


@pytest.fixture(scope="module")
def batch():
    return together(RUNS)


def test_a_run_in_a_batch_is_the_run_alone(batch):
    for run, (w, seed) in zip(batch, RUNS, strict=True):
        single = alone(w, seed)
        assert run.recipe == single.recipe and run.losses.shape == (100,)
        assert run.losses.dtype == single.losses.dtype
        assert max(apart(run, single)) < ROUNDING
        assert single.losses[-10:].mean() < 0.9 * single.losses[:10].mean()  # it did learn


def test_a_swapped_weighting_or_seed_would_be_seen(batch):
    swapped = together([(P2, 0), (sigmoid(2), 0)])
    for run, other in ((batch[0], swapped[0]), (batch[1], swapped[1]), (batch[0], batch[3])):
        assert min(apart(run, other)) > 1000 * ROUNDING
    assert max(apart(batch[0], swapped[1])) < ROUNDING  # the place in the batch means nothing


@pytest.mark.parametrize(
    "changes", [{"levels": "cosine"}, {"low_discrepancy": False}, {"skip": True}]
)
def test_it_holds_for_every_recipe(changes):
    recipe = Recipe(n_steps=43, width=16, n_blocks=1, batch=16, **changes)
    for run, (w, seed) in zip(together(RUNS, recipe), RUNS, strict=True):
        assert max(apart(run, alone(w, seed, recipe))) < ROUNDING


def test_a_stack_is_its_networks_side_by_side():
    generator = torch.Generator().manual_seed(0)
    networks = [Network(4, 8, 1, generator=generator) for _ in range(3)]
    for network in networks:
        torch.nn.init.normal_(network.last.weight, generator=generator)
    z, level = (torch.randn(3, 5, n, generator=generator) for n in (4, 1))
    stack = Stack(networks)
    found = stack(z, level).detach().numpy()
    for k, (network, again) in enumerate(zip(networks, stack.networks(), strict=True)):
        expected = network(z[k], level[k]).detach().numpy()
        assert_close(found[k], expected, atol=1e-5)
        assert_close(again(z[k], level[k]).numpy(), expected, atol=0)
    assert relative_difference(found[0], found[1]) > 0.1


def test_weightings_and_seeds_must_match():
    for weightings, seeds in (([], []), ([sigmoid(0)], [0, 1])):
        with pytest.raises(ValueError, match="one seed for each"):
            train_together(digits()[0], weightings, seeds)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_batches_on_the_gpu_are_the_runs_alone():
    for run, (w, seed) in zip(together(RUNS, device="cuda"), RUNS, strict=True):
        assert next(run.network.parameters()).is_cuda
        assert np.abs(run.losses - alone(w, seed, device="cuda").losses).max() < 1e-3
