"""Retraining in closed form beside Adam on the same features, and the panel's loop, in ms.

Both minimise ½ ∫ w e dλ + ρ‖Θ‖² on the same draws. Adam is given all that a linear model allows:
its features are computed beforehand and not counted (neither are A_λ and b_λ), it starts from
zero, its best learning rate, of four constant ones, is chosen afterwards, and a second Adam even
gets A(w) and b(w) and thus exact gradients. It has done when the loss is within some nats of the
minimum. Times belong to the machine and are printed, not asserted; run

    OMP_NUM_THREADS=1 python -m pytest -m benchmark -s tests/benchmarks/test_retraining_speed.py
"""

import time

import numpy as np
import pytest

from course_utils.datasets import planar
from course_utils.linear_model import FourierFeatures, LinearDenoiser
from course_utils.panels import retraining
from course_utils.weightings import sigmoid

pytestmark = pytest.mark.benchmark

N_FEATURES, N_DRAWS, RIDGE, W = 256, 300, 1e-4, sigmoid(2)
WITHIN = (0.3, 0.1, 0.03, 0.01)  # nats above the minimum
PATIENCE = 25.0  # seconds an Adam may take
BATCH = 1024


def model():
    x = planar("two_moons", 20_000, np.random.default_rng(1))
    features = FourierFeatures.draw(N_FEATURES, 2, np.random.default_rng(6))
    built = LinearDenoiser.precompute(
        x, features=features, rng=np.random.default_rng(7), n_draws=N_DRAWS
    )
    return built, built.draws(x, N_DRAWS, np.random.default_rng(7))  # the very same draws


def times_to_reach(loss_now, step, minimum):
    """Return the seconds until the loss is within each of WITHIN, for steps timed apart from it."""
    reached, spent, next_look = {}, 0.0, 0.0
    while len(reached) < len(WITHIN) and spent < PATIENCE:
        start = time.perf_counter()
        for _ in range(10):
            step()
        spent += time.perf_counter() - start
        if spent >= next_look:
            next_look = 1.02 * spent  # looking costs nothing here: it is not counted
            above = loss_now() - minimum
            for within in WITHIN:
                if above < within:
                    reached.setdefault(within, spent)
    return reached


def exact_gradient_adam(torch, built, denoiser, rate):
    matrix, right = (torch.tensor(part) for part in built._sum(denoiser.weights))
    theta = torch.zeros(right.shape, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([theta], lr=rate)
    shares = built._cells * denoiser.weights / 2
    constant = float(shares @ built.constant)

    def loss():
        quadratic = (theta * (matrix @ theta - 2 * right)).sum()
        return quadratic + RIDGE * (theta**2).sum() + constant

    def step():
        adam.zero_grad()
        loss().backward()
        adam.step()

    return lambda: loss().item(), step


def minibatch_adam(torch, built, denoiser, draws, rate):
    phi, target = (torch.tensor(part).flatten(0, 1) for part in draws._table)
    shares = np.repeat(built._cells * denoiser.weights / 2, N_DRAWS) / N_DRAWS
    shares = torch.tensor(shares, dtype=torch.float32)[:, None]
    theta = torch.zeros((N_FEATURES, 2), requires_grad=True)
    adam = torch.optim.Adam([theta], lr=rate)
    generator = torch.Generator().manual_seed(0)

    def loss(chosen=slice(None), scale=1.0):
        residual = phi[chosen] @ theta - target[chosen]
        return scale * (shares[chosen] * residual**2).sum() + RIDGE * (theta**2).sum()

    def step():
        chosen = torch.randint(len(phi), (BATCH,), generator=generator)
        adam.zero_grad()
        loss(chosen, len(phi) / BATCH).backward()
        adam.step()

    def now():
        with torch.no_grad():
            return loss().item()

    return now, step


def test_closed_form_against_adam(capsys, speed):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    built, draws = model()
    built.retrain(W, RIDGE)
    seconds = []
    for _ in range(30):
        start = time.perf_counter()
        denoiser = built.retrain(W, RIDGE)
        seconds.append(time.perf_counter() - start)
    solve, minimum = float(np.median(seconds)), denoiser.weighted_loss

    kinds = {
        "Adam, exact gradients": lambda rate: exact_gradient_adam(torch, built, denoiser, rate),
        f"Adam, batches of {BATCH}": lambda rate: minibatch_adam(
            torch, built, denoiser, draws, rate
        ),
    }
    best = {}
    for kind, make in kinds.items():
        best[kind] = {}
        for rate in (0.1, 0.03, 0.01, 0.003):
            for within, spent in times_to_reach(*make(rate), minimum).items():
                best[kind][within] = min(spent, best[kind].get(within, np.inf))
    with capsys.disabled():
        print(f"\n\nClosed form, {N_FEATURES} features: {1e3 * solve:.1f} ms, the minimum itself")
        for kind, reached in best.items():
            for within in WITHIN:
                if within in reached:
                    spent = reached[within]
                    words = f"{spent:8.2f} s    {spent / solve:8.0f} × as long"
                else:
                    words = f"not in {PATIENCE:.0f} s    more than {PATIENCE / solve:.0f} ×"
                print(f"  {kind:<26} within {within:<5} nats: {words}")
    for kind, reached in best.items():
        if 0.1 in reached:
            speed(
                "retraining in closed form, to the minimum",
                f"{kind}, to within 0.1 nats",
                reached[0.1] / np.array(seconds),
                f"{N_FEATURES} features, {1e3 * solve:.0f} ms; the best of four learning rates",
                "times faster",
            )
    assert all(0.3 in reached for reached in best.values())  # each was really trained


def test_the_panels_loop(capsys):
    rows = {}
    for n_features in retraining.FEATURES:
        shown = retraining.panel(features=n_features)
        bar = shown.controls["shift"]
        bar.value, bar.value = 3.0, -3.0  # tables and limits
        whole, numbers = [], []
        for shift in np.linspace(-2.9, 3.0, 60).round(1).tolist():
            start = time.perf_counter()
            bar.value = shift  # w → retrained → samples → picture
            whole.append(time.perf_counter() - start)
            start = time.perf_counter()
            retraining.compute(**shown.values)
            numbers.append(time.perf_counter() - start)
        rows[n_features] = [
            1e3 * f(times) for times in (whole, numbers) for f in (np.median, np.min)
        ]
        shown.close()
    with capsys.disabled():
        print("\n\nfeatures    w → picture, ms: median    best    of it numbers: median    best")
        for n_features, row in rows.items():
            print(f"{n_features:8d}{row[0]:27.1f}{row[1]:8.1f}{row[2]:26.1f}{row[3]:8.1f}")
