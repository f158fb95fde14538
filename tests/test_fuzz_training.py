"""The rooms that train, study and try, under strange arguments: as test_fuzz.py has the others.

Runs are of two steps and four units, so that a call takes milliseconds. What only other rooms call
with what they made themselves is exempt, each with its reason.
"""

from functools import cache, partial

import numpy as np
import pytest
import torch
from fuzzing import EVERYDAY, LONG, Fuzz, public_callables
from hypothesis import given
from hypothesis import strategies as st

from course_utils import networks, study, trial
from course_utils.networks import LEVELS, Levels, Recipe
from course_utils.study import Plan, Summary
from course_utils.weightings import sigmoid
from course_utils.yardstick import MEASURES, yardstick_of

ROOMS = ("networks", "batched", "study", "trial", "yardstick")
FOUND = {name: f for name, f in public_callables().items() if name.startswith(ROOMS)}
EXEMPT = {
    **dict.fromkeys(
        (
            "networks.Network.forward",
            "networks.Block",
            "networks.Block.forward",
            "networks.LevelEmbedding",
            "networks.LevelEmbedding.forward",
            "networks.batch_loss",
            "networks.training",
            "networks.descent",
            "batched.Stack",
            "batched.Stack.__call__",
            "batched.Stack.networks",
            "batched.Stack.parameters",
        ),
        "the inner loop: train has checked what comes in, and every step counts",
    ),
    "networks.Trained": "made by train and load",
    "networks.load": "a number would be a file that is open; test_networks.py spoils files",
    "study.run_together": "tasks are made by run_all",
    "study.measured": "takes a model that run trained",
    "study.collected": "takes what run_all yielded",
    "study.write_results": "takes what run_all yielded",
    "study.main": "the command line; test_study.py",
    "trial.main": "the command line; test_trial.py",
    "trial.Report": "made by report",
    "trial.Trial": "made by fix",
    "yardstick.Yardstick": "made by yardstick_of",
}
NAMES = sorted(set(FOUND) - set(EXEMPT))

# --- Right values ------------------------------------------------------------------------------

RECIPE = Recipe(n_steps=2, batch=3, width=4, n_blocks=1)
TINY = Plan(
    n_steps=2, batch=3, width=4, n_blocks=1, n_samples=30, sampler_steps=2, n_levels=2, bootstraps=2
)
number = st.floats(-3, 3)


def array(shape, elements=number):
    size = int(np.prod(shape, dtype=int))
    return st.lists(elements, min_size=size, max_size=size).map(
        lambda values: np.array(values, dtype=float).reshape(shape)
    )


@cache
def trained(d):
    x = np.random.default_rng(0).standard_normal((9, d))
    return networks.train(x, sigmoid(0), seed=0, recipe=RECIPE, device="cpu")


def network(d):
    start = torch.Generator().manual_seed(1)
    return networks.Network(d, 4, 1, generator=start)


@cache
def results():
    return study.load_results()


@cache
def runs_of(name):
    return study.by_weighting(results())[name]


@cache
def finding():
    """That of the first example of notebook 08, with its stored runs."""
    found = trial.fix(*trial.examples()[0])
    return found.judge(found.run())


def tensor(shape):
    return array(shape).map(lambda x: torch.from_numpy(x.astype(np.float32)))


def one_of(*values):
    return lambda s: st.sampled_from(values)


seed = st.integers(0, 99)
RIGHT = {
    "x": lambda s: array((s.n + 1, s.d)),
    "z": lambda s: array((s.n, s.d)),
    "w": one_of(sigmoid(0), sigmoid(2), study.WEIGHTINGS["p2"]),
    "seed": lambda s: seed,
    "seeds": one_of(range(2), (3, 7), [0, 1, 2]),
    "recipe": one_of(None, RECIPE),
    "plan": one_of(TINY),
    "label": one_of(None),
    "device": one_of(None, "cpu"),
    "generator": lambda s: seed.map(lambda n: torch.Generator().manual_seed(n)),
    "rng": lambda s: seed.map(np.random.default_rng),
    "kind": one_of(*LEVELS),
    "levels": one_of(*LEVELS),
    "log_snr_min": lambda s: st.floats(-9, -1),
    "log_snr_max": lambda s: st.floats(1, 9),
    "u": lambda s: array((s.k, s.n), st.floats(0, 1)),
    "low_discrepancy": lambda s: st.booleans(),
    "skip": lambda s: st.booleans(),
    "n": lambda s: st.integers(2, 5),
    "n_batches": lambda s: st.integers(2, 4),
    "eta": lambda s: st.floats(0, 1),
    "network": lambda s: st.builds(network, st.just(s.d)),
    "trained": lambda s: st.builds(trained, st.just(s.d)),
    "step": one_of(0, 1),
    "data": one_of("digits"),
    "name": one_of(*study.WEIGHTINGS),
    "names": one_of(("elbo",), ("p2", "sigmoid_2")),
    "folder": one_of(None),
    "own": one_of(None),
    "jobs": one_of(1),
    "scheduler": one_of(None),
    "batched": one_of(1, 2),
    "action": one_of(None),
    "result": lambda s: st.builds(lambda: finding().own[0]),
    "results": lambda s: st.builds(results),
    "runs": lambda s: st.builds(runs_of, st.just("elbo")),
    "others": lambda s: st.builds(runs_of, st.just("p2")),
    "measure": one_of(*trial.HELD_OUT),
    "measures": one_of(trial.HELD_OUT, ["bits.total"]),
    "claim": one_of("It is so"),
    "direction": one_of(*trial.DIRECTIONS),
    "versus": one_of(*study.WEIGHTINGS),
    "by": lambda s: st.floats(0, 2),
    "difference": lambda s: st.builds(
        lambda low, length: Summary(low + length / 2, low, low + length, 3), number, st.floats(0, 3)
    ),
    "n_seeds": lambda s: st.integers(2, 20),
    "hypothesis": lambda s: st.just(trial.examples()[0][0]),
    "finding": lambda s: st.builds(finding),
    "reason": one_of("Because it is."),
    "not_shown": one_of((), ["That it rains."]),
    "bootstraps": lambda s: st.integers(2, 3),
    "repeats": lambda s: st.integers(2, 3),
    "held_out": one_of(500),
}
# numbers of recipes and plans
RIGHT |= {
    name: partial(lambda low, s: st.integers(low, low + 3), low)
    for name, low in {
        "n_steps": 1,
        "batch": 1,
        "dim": 1,
        "width": 1,
        "n_blocks": 1,
        "n_samples": 4,
        "sampler_steps": 1,
        "n_levels": 1,
    }.items()
}
RIGHT |= {"learning_rate": lambda s: st.floats(1e-4, 1e-2), "ema": lambda s: st.floats(0, 0.999)}

LEVELS_NOW = lambda s: st.builds(Levels, RIGHT["w"](s), st.just(-9.0), st.just(6.0))  # noqa: E731
IMAGES = {"self": lambda s: st.builds(yardstick_of, st.just("digits"))}
IMAGES["x"] = lambda s: st.just(yardstick_of("digits").held_out[: s.n + 30])
SPECIAL = {
    "networks.Levels.*": {"self": LEVELS_NOW},
    "networks.Levels.observe": {
        "log_snr": lambda s: array((s.k, s.n)),
        "error": lambda s: array((s.k, s.n), st.floats(0, 3)),
    },
    "networks.Recipe.*": {"self": one_of(RECIPE)},
    "networks.Trained.*": {
        "self": lambda s: st.builds(trained, st.just(s.d)),
        "log_snr": lambda s: st.one_of(number, array((s.n, 1))),
    },
    "networks.Trained.save": {"path": one_of("/dev/null")},
    "networks.draw_batches": {
        "x": lambda s: tensor((s.n, s.d)),
        "levels": LEVELS_NOW,
    },
    "networks.gradient_variance": {
        "x": lambda s: tensor((s.n, s.d)),
        "levels": LEVELS_NOW,
    },
    "networks.beginning": {"x": lambda s: tensor((s.n, s.d)), "recipe": one_of(RECIPE)},
    "networks.train": {"recipe": one_of(RECIPE)},
    "batched.train_together": {
        "recipe": one_of(RECIPE),
        "weightings": one_of([sigmoid(0), sigmoid(2)]),
        "seeds": one_of(range(2), (3, 7), [5, 5]),
    },
    "study.Plan.*": {"self": one_of(TINY, Plan(), study.PLANS["fashion"])},
    "study.load_results": {"folder": one_of(None)},
    "study.load_sheets": {"folder": one_of(None)},
    "study.sheet": {"eta": one_of(0, 1, 0.0, 1.0)},
    "trial.fingerprint": {"plan": one_of(TINY, Plan())},
    # an example of the course: its runs are there, and nothing is written
    "trial.fix": {"w": one_of(trial.examples()[0][1]), "plan": one_of(None)},
    "trial.Trial.*": {"self": lambda s: st.just(trial.fix(*trial.examples()[0]))},
    "trial.Trial.judge": {
        "runs": lambda s: st.builds(lambda: trial.fix(*trial.examples()[0]).run())
    },
    "trial.Report.save": {"self": one_of(trial.Report("text")), "path": one_of("/dev/null")},
    "yardstick.Yardstick.*": IMAGES,
    "yardstick.Yardstick.floor": {"n": lambda s: st.integers(4, 7)},
    "yardstick.yardstick_of": {"name": one_of("digits")},
}

# Models, results and folders: made by the course, or a matter of the file system.
TRUSTED = {"self", "label", "network", "trained", "result", "results", "runs", "others", "finding"}
TRUSTED |= {"folder", "action", "scheduler", "path", "held_out"}
ALSO_TRUSTED = {
    **{key: {"x"} for key in ("networks.draw_batches", "networks.gradient_variance")},
    "networks.beginning": {"x"},
    # None would be the usual recipe, of 2000 steps; what is no recipe: test_networks.py
    **{key: {"recipe"} for key in ("networks.train", "batched.train_together")},
}

# --- What must hold where all arguments were right ---------------------------------------------


def within(low, high):
    def holds(result, **arguments):
        assert (low <= np.asarray(result)).all() and (np.asarray(result) <= high).all(), result

    return holds


def as_many(result, weightings, **arguments):
    assert len(result) == len(weightings)


def levels_drawn(result, self, u):
    log_snr, coefficient = result
    within(-9, 6)(log_snr)
    within(0, np.inf)(coefficient)
    assert log_snr.shape == coefficient.shape == u.shape


def ordered(result, **arguments):
    assert result.low <= result.mean <= result.high


def verdict_is_symmetric(result, difference, direction, by):
    mirrored = Summary(-difference.mean, -difference.high, -difference.low, 3)
    other = {"lower": "higher", "higher": "lower"}[direction]
    assert result == trial.verdict(mirrored, other, by)
    assert result in ("supported", "not supported", "undecided")


HOLDS = {
    "networks.train": lambda result, x, **rest: within(0, np.inf)(result.losses),
    "networks.times": within(0, 1),
    "networks.data_tensor": lambda result, x, device: np.testing.assert_array_equal(
        result.cpu().numpy(), x.astype(np.float32)
    ),
    "networks.gradient_variance": within(-1e-9, np.inf),
    "networks.Levels.draw": levels_drawn,
    "networks.Recipe.rate": within(0, RECIPE.learning_rate),
    "networks.Trained.eps": lambda result, z, **rest: within(z.shape, z.shape)(result.shape),
    "networks.Trained.sample": lambda result, self, n, **rest: within((n, self.dim), (n, self.dim))(
        result.shape
    ),
    "batched.train_together": as_many,
    "study.compare": ordered,
    "study.summary": ordered,
    "study.run_all": lambda result, names, seeds, **rest: within(
        len(names) * len(seeds), len(names) * len(seeds)
    )(len(result)),
    "trial.verdict": verdict_is_symmetric,
    "trial.expected_reach": within(1e-6, 10),
    "trial.fingerprint": lambda result, **rest: within(8, 8)(len(result)),
    "yardstick.Yardstick.pixels": within(0, 16),
    "yardstick.Yardstick.rounded": within(-1, 1),
    "yardstick.Yardstick.features": within(0, np.inf),
    "yardstick.Yardstick.measure": lambda result, **rest: within(MEASURES, MEASURES)(list(result)),
}
FUZZ = Fuzz(FOUND, RIGHT, SPECIAL, HOLDS, TRUSTED)


def fuzz_of(name):
    return Fuzz(FOUND, RIGHT, SPECIAL, HOLDS, TRUSTED | ALSO_TRUSTED.get(name, set()))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Runs are cached below a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(RIGHT, "folder", one_of(tmp_path))


@pytest.mark.parametrize("name", NAMES)
@EVERYDAY
@given(data=st.data())
def test_finite_or_an_error_that_names_the_problem(name, data):
    fuzz_of(name).keeps_the_contract(name, data)


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
@LONG
@given(data=st.data())
def test_many_more_arguments(name, data):
    fuzz_of(name).keeps_the_contract(name, data)


def test_every_new_function_is_found():
    assert {"networks.train", "trial.fix", "yardstick.Yardstick.measure"} <= set(NAMES)
    assert not set(EXEMPT) - set(FOUND), "exempt, but no longer there"
    for name in NAMES:
        FUZZ.right_values(name)
