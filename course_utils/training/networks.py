"""A denoising network for small images and its training loop: the one module that needs torch.

The network is a residual MLP that predicts v = α ε − σ x from (z, λ). Training lowers the weighted
loss L_w = ½ ∫ w E‖ε − ε̂‖² dλ (T1, the loss that all diffusion objectives share) by draws of λ from
any density p,

    loss = mean of ½ w(λ)/p(λ) · α² ‖v − v̂‖²,        since ε − ε̂ = α (v − v̂),

divided by the number ½ d ∫ w α² dλ, so that a network that misses v by 1 in every coordinate has
loss 1 under every w.

    trained = train(x, sigmoid(2), seed=0, recipe=Recipe(n_steps=1000))
    images = trained.sample(500, np.random.default_rng(1), eta=1.0)

Nothing here reads or changes torch's global random state, nor its default type, device or threads.
"""

from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.optim.adam import adam

from course_utils._checks import data_set, require_levels_fit
from course_utils.predictions import convert
from course_utils.samplers import ddim_step, sample
from course_utils.schedules import alpha, sigma
from course_utils.training.recipe import LevelSampler, Recipe

CHUNK = 60  # steps whose draws are made at once, and after which adaptive levels adapt
# The function behind torch.optim.Adam, whose first use loads a compiler, for some seconds.
ADAM = dict(beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0, amsgrad=False, maximize=False)


@contextmanager
def one_thread():
    """Give torch one thread and gradients inside, and what the reader had set again afterwards.

    With more threads, so small a network trains slower.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode(False):  # which turns gradients on, too
            yield
    finally:
        torch.set_num_threads(threads)


# --- The network --------------------------------------------------------------------------------


class Network(nn.Module):
    """v̂(z, λ): a residual MLP whose blocks are scaled and shifted by an embedding of the level.

    ``forward(z, log_snr)`` takes z [n, dim] and levels [n, 1] or [1, 1]; returns [n, dim]. The last
    layer starts at zero. ``skip`` adds s(λ) z with a learnt number s: v contains the noise, which
    fills all dimensions, and a network that is narrower than ``dim`` cannot pass it on.
    """

    def __init__(self, dim, recipe, generator, dtype=torch.float32):
        super().__init__()
        linear = partial(_linear, generator=generator, dtype=dtype)
        self.embedding = LevelEmbedding(linear, dtype)
        self.first = linear(dim, recipe.width)
        self.blocks = nn.ModuleList(Block(recipe.width, linear) for _ in range(recipe.n_blocks))
        self.norm = nn.LayerNorm(recipe.width, device="cpu", dtype=dtype)
        self.last = linear(recipe.width, dim, gain=0.0)
        self.skip = linear(LevelEmbedding.SIZE, 1, gain=0.0) if recipe.skip else None

    def forward(self, z, log_snr):
        level = self.embedding(log_snr)
        hidden = self.first(z)
        for block in self.blocks:
            hidden = block(hidden, level)
        v = self.last(self.norm(hidden))
        return v if self.skip is None else torch.addcmul(v, self.skip(level), z)


class Block(nn.Module):
    """hidden + W₂ silu(scale(λ) · W₁ norm(hidden) + shift(λ))."""

    def __init__(self, width, linear):
        super().__init__()
        self.norm = nn.LayerNorm(width, device="cpu", dtype=linear.keywords["dtype"])
        self.into = linear(width, width)
        self.modulation = linear(LevelEmbedding.SIZE, 2 * width, gain=0.0)
        self.out = linear(width, width, gain=0.5)

    def forward(self, hidden, level):
        scale, shift = self.modulation(level).chunk(2, dim=1)
        inner = torch.addcmul(shift, self.into(self.norm(hidden)), 1 + scale)
        return hidden + self.out(nn.functional.silu(inner))


class LevelEmbedding(nn.Module):
    """[n, 1] levels → [n, 64]: a small layer on cos ωλ and sin ωλ, sixteen ω from 0.1 to 3."""

    SIZE = 64

    def __init__(self, linear, dtype):
        super().__init__()
        frequency = torch.logspace(-1, np.log10(3), 16, device="cpu", dtype=dtype)
        self.register_buffer("frequency", frequency, persistent=False)
        self.layer = linear(32, self.SIZE)

    def forward(self, log_snr):
        angle = log_snr * self.frequency
        return nn.functional.silu(self.layer(torch.cat([angle.cos(), angle.sin()], dim=1)))


def _linear(n_in, n_out, *, generator, dtype, gain=1.0):
    # without skip_init, torch's global generator would be used
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out, dtype=dtype)
    nn.init.normal_(layer.weight, std=gain / n_in**0.5, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


# --- Training -----------------------------------------------------------------------------------


def draw_batches(x, levels, n_batches, batch, generator):
    """Return draws for some steps: z [n_batches, batch, d], λ [n_batches, batch], v, coefficients.

    z = α x + σ ε and v = α ε − σ x of data x, a tensor [n, d] on the device of the generator;
    ``levels`` is a ``LevelSampler``. The levels of a batch come from uniform numbers with one
    random start and equal gaps (Kingma et al. 2021, VDM). Which x and which ε are drawn does not
    depend on the levels.
    """
    on_device = {"generator": generator, "device": x.device}
    start = torch.rand((n_batches, 1), dtype=torch.float64, **on_device).cpu().numpy()
    log_snr, coefficient = levels.draw((start + np.arange(batch) / batch) % 1)
    x = x[torch.randint(len(x), log_snr.shape, **on_device)]
    noise = torch.randn(x.shape, dtype=x.dtype, **on_device)
    to_torch = partial(torch.tensor, dtype=x.dtype, device=x.device)
    a, s = to_torch(alpha(log_snr)[..., None]), to_torch(sigma(log_snr)[..., None])
    return a * x + s * noise, to_torch(log_snr), a * noise - s * x, to_torch(coefficient)


def batch_loss(network, z, log_snr, v, coefficient):
    """Return the batch's loss, and ‖v − v̂‖²/d of each draw without gradients, [batch]."""
    error = (network(z, log_snr[:, None]) - v).square().mean(dim=1)
    return torch.linalg.vecdot(coefficient, error) / len(error), error.detach()


def train_steps(x, w, *, seed, recipe, device=None, dtype=torch.float32):
    """Train a new network; yield after each step its loss and the average of weights (no copy).

    What is seen at a step is what a run of so many steps ends with. Arguments as for ``train``.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    x = torch.tensor(data_set(x), dtype=dtype, device=device)
    start = torch.Generator("cpu").manual_seed(int(seed))
    network = Network(x.shape[1], recipe, start, dtype).to(device)
    average = deepcopy(network).requires_grad_(False)
    generator = torch.Generator(device).manual_seed(int(seed) + 2**32)
    levels = LevelSampler(w, recipe)
    weights = list(network.parameters())
    state = [[torch.zeros_like(weight) for weight in weights] for _ in range(2)]
    counts = [torch.zeros((), dtype=torch.float32, device=device) for _ in weights]
    for first in range(0, recipe.n_steps, CHUNK):
        batches = draw_batches(x, levels, CHUNK, recipe.batch, generator)
        errors = []
        steps = range(first, min(first + CHUNK, recipe.n_steps))
        for step, *draws in zip(steps, *batches, strict=False):
            loss, error = batch_loss(network, *draws)
            errors.append(error)
            slopes = list(torch.autograd.grad(loss, weights))
            with torch.no_grad():
                adam(weights, slopes, *state, [], counts, lr=recipe.rate(step), fused=True, **ADAM)
                for mean, weight in zip(average.parameters(), weights, strict=True):
                    mean.lerp_(weight, 1 - recipe.decay(step))
            yield loss.detach(), average
        errors = torch.stack(errors).cpu().numpy()
        if not np.isfinite(errors).all():
            raise ValueError(
                f"training diverged before step {first + len(errors)}: the error is not finite. "
                f"Lower learning_rate, {recipe.learning_rate:g}, or divide the data by their scale"
            )
        log_snr = batches[1][: len(errors)].cpu().numpy().astype(float)
        levels.observe(log_snr, errors * alpha(log_snr) ** 2)


def train(x, w, *, seed, recipe, device=None, dtype=torch.float32):
    """Return a ``Trained`` denoiser of the data x [n, d] for the weighting w.

    ``seed`` fixes initial weights, batches, levels and noise. ``device`` is "cuda" where there is
    one, else "cpu". Raises ``ValueError`` for data with gaps, for an improper w, and where the loss
    diverges.
    """
    with one_thread():
        steps = train_steps(x, w, seed=seed, recipe=recipe, device=device, dtype=dtype)
        losses, averages = zip(*steps, strict=True)
        return Trained(averages[-1], recipe, torch.stack(losses).cpu().numpy())


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network with its averaged weights, its recipe, and the loss of every step."""

    network: Network
    recipe: Recipe
    losses: np.ndarray = ()

    def eps(self, z, log_snr):
        """Return ε̂ = σ z + α v̂ for z [n, d] at one level or [n, 1], within those of training.

        NumPy in float64, v̂ in the network's own type. Raises ``ValueError`` for levels [n].
        """
        z, level = np.asarray(z, dtype=float), np.asarray(log_snr, dtype=float)
        require_levels_fit(level, z)
        like = self.network.first.weight
        with one_thread(), torch.inference_mode():
            to_torch = partial(torch.tensor, dtype=like.dtype, device=like.device)
            v = self.network(to_torch(z), to_torch(level.reshape(-1, 1))).cpu().numpy()
        return sigma(level) * z + alpha(level) * v

    def sample(self, n, rng, *, n_steps=64, eta=0.0):
        """Return n images x̂ [n, d] by the DDIM sampler with stochasticity η in [0, 1].

        ``n_steps`` steps of equal Δλ over the levels of training, from z ~ N(0, I), then x̂ of the
        last latent. ``rng`` is a ``numpy.random.Generator``.
        """
        levels = np.linspace(self.recipe.log_snr_min, self.recipe.log_snr_max, n_steps + 1)
        z = rng.standard_normal((n, self.network.first.in_features))
        z = sample(self.eps, levels, z, partial(ddim_step, eta=eta), rng)
        return convert(self.eps(z, levels[-1]), z, levels[-1], "eps", "x")
