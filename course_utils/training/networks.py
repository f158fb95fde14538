"""A denoising network for small images and its training loop: the one module that needs torch.

The network is a residual MLP that predicts v = α ε − σ x from (z, λ), in float32. Training lowers
the weighted loss L_w = ½ ∫ w E‖ε − ε̂‖² dλ (T1) by draws of λ from any density p,

    loss = mean of ½ w(λ)/p(λ) · α² ‖v − v̂‖²,        since ε − ε̂ = α (v − v̂),

divided by the number ½ d ∫ w α² dλ, so that a network that misses v by 1 in every coordinate has
loss 1 under every w.

    trained = train(x, sigmoid(2), seed=0, recipe=Recipe(n_steps=1000))
    images = trained.sample(500, torch.Generator().manual_seed(1), eta=1.0)

What is random takes a ``torch.Generator`` or a seed. On the CPU torch gets one thread: with two,
so small a network trains slower on two cores, and many times slower where they are shared.
"""

from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from course_utils._checks import (
    LEVELS,
    data_set,
    described,
    finite,
    in_numpy,
    real_number,
    require_count,
    require_kind,
    require_known,
    require_levels_fit,
    require_range,
    require_seed,
    require_switch,
    require_training,
)
from course_utils.classroom.progress import progress
from course_utils.samplers import ddim_coefficients
from course_utils.schedules import Cosine, alpha, sigma
from course_utils.variance import DensitySchedule
from course_utils.weightings import evaluate

torch.set_num_threads(1)

CHUNK = 40  # steps whose draws are made at once
N_BINS = 64  # of levels, in which an adaptive schedule keeps the running error


# --- The network --------------------------------------------------------------------------------


class Network(nn.Module):
    """v̂(z, λ): a residual MLP whose blocks are scaled and shifted by an embedding of the level.

    ``forward(z, log_snr)`` takes z [n, dim] and levels [n, 1] or [1, 1]; returns [n, dim]. The last
    layer starts at zero, so that a new network predicts v̂ = 0. ``skip`` adds s(λ) z with a learnt
    number s, zero at first: v contains the noise, which fills all dimensions, and a network that is
    narrower than ``dim`` cannot pass it on.
    """

    def __init__(self, dim, width=256, n_blocks=3, skip=False, *, generator):
        super().__init__()
        for name, value in {"dim": dim, "width": width, "n_blocks": n_blocks}.items():
            require_count(name, value)
        require_switch("skip", skip)
        _require_generator(generator)
        self.embedding = LevelEmbedding(generator=generator)
        self.first = _linear(dim, width, generator)
        self.blocks = nn.ModuleList(
            Block(width, self.embedding.size, generator=generator) for _ in range(n_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.last = _linear(width, dim, generator, gain=0.0)
        self.skip = _linear(self.embedding.size, 1, generator, gain=0.0) if skip else None

    def forward(self, z, log_snr):
        level = self.embedding(log_snr)
        hidden = self.first(z)
        for block in self.blocks:
            hidden = block(hidden, level)
        v = self.last(self.norm(hidden))
        return v if self.skip is None else torch.addcmul(v, self.skip(level), z)


class Block(nn.Module):
    """hidden + W₂ silu(scale(λ) · W₁ norm(hidden) + shift(λ))."""

    def __init__(self, width, level_size, *, generator):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.into = _linear(width, width, generator)
        self.modulation = _linear(level_size, 2 * width, generator, gain=0.0)
        self.out = _linear(width, width, generator, gain=0.5)

    def forward(self, hidden, level):
        scale, shift = self.modulation(level).chunk(2, dim=1)
        inner = torch.addcmul(shift, self.into(self.norm(hidden)), 1 + scale)
        return hidden + self.out(nn.functional.silu(inner))


class LevelEmbedding(nn.Module):
    """[n, 1] levels → [n, 64]: a small layer on cos ωλ and sin ωλ, ω from 0.1 to 3."""

    size = 64

    def __init__(self, *, generator):
        super().__init__()
        self.register_buffer("frequency", torch.logspace(-1, np.log10(3), 16), persistent=False)
        self.layer = _linear(32, self.size, generator)

    def forward(self, log_snr):
        angle = log_snr * self.frequency
        return nn.functional.silu(self.layer(torch.cat([angle.cos(), angle.sin()], dim=1)))


def _linear(n_in, n_out, generator, gain=1.0):
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out)  # else torch's global generator is used
    nn.init.normal_(layer.weight, std=gain / n_in**0.5, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


# --- LevelSampler -------------------------------------------------------------------------------------


class LevelSampler:
    """Where a training run samples its levels, and by how much each draw then counts.

    ``draw(u)`` turns uniform numbers into levels λ ~ p and the coefficients w α²/p ÷ ∫ w α² dλ, in
    float64 NumPy. With ``kind`` "uniform" p is flat on the range, with "cosine" it is that of the
    cosine schedule cut to the range. "adaptive" samples in proportion to w(λ) times a running mean
    of ‖ε − ε̂‖² in 64 bins, a tenth of the draws staying uniform; ``observe`` feeds it. Whatever p,
    the expected loss is the same. Source: Kingma & Gao 2023, appendix F.
    """

    def __init__(self, w, log_snr_min, log_snr_max, kind="adaptive"):
        self.kind = require_known("kind of levels", kind, LEVELS)
        log_snr_min, log_snr_max = require_range(log_snr_min, log_snr_max)
        edges = np.linspace(log_snr_min, log_snr_max, N_BINS + 1)
        fine = np.linspace(log_snr_min, log_snr_max, 4001)
        scale = np.trapezoid(evaluate(w, fine) * alpha(fine) ** 2, fine)
        if not scale > 0:
            raise ValueError(f"w is zero on [{log_snr_min:g}, {log_snr_max:g}]: nothing is learnt")
        self.weight = lambda log_snr: evaluate(w, log_snr) / scale
        self.edges = edges
        middle = (edges[:-1] + edges[1:]) / 2
        self._sums = alpha(middle) ** 2  # the error of v̂ = 0 on data of variance 1, d = 1
        self._counts = np.ones(N_BINS)
        self._rebuild()

    def _rebuild(self):
        low, high = self.edges[[0, -1]]
        if self.kind == "cosine":
            self.schedule = Cosine(log_snr_min=low, log_snr_max=high)
            return
        heights = np.ones(len(self.edges))
        if self.kind == "adaptive":
            error = self._sums / self._counts
            at_edges = np.interp(self.edges, (self.edges[:-1] + self.edges[1:]) / 2, error)
            share = self.weight(self.edges) * at_edges
            heights = share / (share.mean() or 1.0) + 0.1  # w may be zero at every edge
        self.schedule = DensitySchedule(self.edges, heights)

    def draw(self, u):
        """Return the levels λ(u) and their coefficients, of the shape of u in [0, 1]."""
        log_snr = self.schedule.log_snr(u)
        density = self.schedule.density(log_snr)
        return log_snr, self.weight(log_snr) * alpha(log_snr) ** 2 / density

    def observe(self, log_snr, error):
        """Take note of squared errors ‖ε − ε̂‖²/d at levels of one shape; earlier ones fade."""
        if self.kind != "adaptive":
            return
        log_snr, error = finite("log_snr", log_snr), finite("error", error)
        if log_snr.shape != error.shape or (error < 0).any():
            raise ValueError(
                f"need an error of at least 0 for each level, got {described(error)} for "
                f"{described(log_snr)}"
            )
        bins = np.clip(np.searchsorted(self.edges, log_snr.ravel()) - 1, 0, N_BINS - 1)
        self._sums = 0.7 * self._sums + np.bincount(bins, error.ravel(), N_BINS)
        self._counts = 0.7 * self._counts + np.bincount(bins, minlength=N_BINS)
        self._rebuild()


def uniform_times(n_batches, batch, generator, low_discrepancy=True):
    """Return uniform numbers in [0, 1), [n_batches, batch], float64.

    Low-discrepancy: each batch is one uniform shift of an even grid, modulo 1, so that every number
    is uniform by itself and a batch covers [0, 1) evenly. Source: Kingma et al. 2021 (VDM).
    """
    require_count("n_batches", n_batches)
    require_count("batch", batch)
    columns = 1 if require_switch("low_discrepancy", low_discrepancy) else batch
    shape = (n_batches, columns)
    _require_generator(generator)
    u = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)
    u = u.cpu().numpy()
    return (u + np.arange(batch) / batch) % 1 if low_discrepancy else u


# --- Training -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """What a training run is, apart from its data, weighting and seed.

    ``learning_rate`` is that of Adam; it rises over the first 5 % of the steps and falls to zero
    along a cosine. ``ema`` is the decay per step of the average of the weights, which is what comes
    out. ``levels`` is one of "adaptive", "uniform", "cosine" (see ``LevelSampler``). ``skip`` is for data
    of more dimensions than ``width`` (see ``Network``).
    """

    n_steps: int = 2000
    batch: int = 128
    learning_rate: float = 2e-3
    ema: float = 0.995
    width: int = 256
    n_blocks: int = 3
    skip: bool = False
    levels: str = "adaptive"
    low_discrepancy: bool = True
    log_snr_min: float = -10.0
    log_snr_max: float = 6.0

    def __post_init__(self):
        require_training(self)

    def rate(self, step):
        """Return the learning rate at step 0 … n_steps − 1."""
        step = real_number("step", step)
        if not 0 <= step < self.n_steps:
            raise ValueError(f"step must be one of 0 to {self.n_steps - 1}, got {step:g}")
        warm = max(1, self.n_steps // 20)
        cooled = (1 + np.cos(np.pi * step / self.n_steps)) / 2
        return self.learning_rate * min(1.0, (step + 1) / warm) * float(cooled)


class Batches(NamedTuple):
    """Draws for some steps: ``log_snr`` and ``coefficient`` [steps, batch], z and v [.., d]."""

    z: torch.Tensor
    log_snr: torch.Tensor
    v: torch.Tensor
    coefficient: torch.Tensor


def draw_batches(x, levels, n_batches, batch, generator, low_discrepancy=True):
    """Return ``Batches`` of latents of the data x [n, d], a float32 tensor, at drawn levels."""
    require_kind("levels", levels, LevelSampler, "see networks.LevelSampler")
    u = uniform_times(n_batches, batch, generator, low_discrepancy)
    log_snr, coefficient = levels.draw(u)
    device = generator.device
    chosen = torch.randint(len(x), u.shape, generator=generator, device=device)
    x = x[chosen.to(x.device)]
    noise = torch.randn(x.shape, generator=generator, device=device).to(x.device)

    def tensor(array):
        return torch.from_numpy(np.asarray(array, dtype=np.float32)).to(x.device)

    a, s = tensor(alpha(log_snr))[..., None], tensor(sigma(log_snr))[..., None]
    return Batches(a * x + s * noise, tensor(log_snr), a * noise - s * x, tensor(coefficient))


def batch_loss(network, z, log_snr, v, coefficient):
    """Return the batch's loss, and ‖v − v̂‖²/d of each draw without gradients, [batch]."""
    error = (network(z, log_snr[..., None]) - v).square().mean(dim=-1)
    return torch.linalg.vecdot(coefficient, error) / error.shape[-1], error.detach()


def training(network, average, x, w, recipe, generator):
    """Train the network in place and yield each step's loss, a tensor.

    ``average`` is a second network of the same kind: its weights follow the first's with decay
    ``recipe.ema`` per step. x [n, d] is a float32 tensor on the network's device; w is a function
    of the level. The caller may stop at any step.
    """
    levels = LevelSampler(w, recipe.log_snr_min, recipe.log_snr_max, recipe.levels)

    def draw(count):
        return draw_batches(x, levels, count, recipe.batch, generator, recipe.low_discrepancy)

    return train_steps(network, average, draw, levels.observe, recipe)


def train_steps(network, average, draw, observe, recipe):
    """Lower the loss of the batches that ``draw(count)`` returns; yield each step's loss.

    ``observe(log_snr, errors)`` is told the levels and squared errors ‖ε − ε̂‖²/d of each chunk of
    steps. With draws of shape [steps, K, batch] and K networks in one (``batched``), the gradient
    of the sum of their losses is for each the gradient of its own.
    """
    weights, averaged = list(network.parameters()), list(average.parameters())
    optimiser = torch.optim.Adam(weights, lr=recipe.learning_rate, fused=True)
    for start in range(0, recipe.n_steps, CHUNK):
        batches = draw(min(CHUNK, recipe.n_steps - start))
        errors = []
        for step, draws in enumerate(zip(*batches, strict=True), start):
            optimiser.param_groups[0]["lr"] = recipe.rate(step)
            optimiser.zero_grad()
            loss, error = batch_loss(network, *draws)
            loss.sum().backward()
            optimiser.step()
            errors.append(error)
            if step % 8 == 7 or step == recipe.n_steps - 1:  # as good as at each step, and cheaper
                # a young average forgets faster, or it would remember the random start
                decay = min(recipe.ema, (step + 1) / (step + 10)) ** 8
                with torch.no_grad():
                    torch._foreach_lerp_(averaged, weights, 1 - decay)
            yield loss.detach()
        errors = torch.stack(errors).cpu().numpy()
        if not np.isfinite(errors).all():
            step = start + int(np.argmin([np.isfinite(each).all() for each in errors]))
            raise ValueError(
                f"training diverged at step {step} of {recipe.n_steps}: the error is not finite. "
                f"Lower learning_rate, {recipe.learning_rate:g}, or divide the data by their scale"
            )
        log_snr = batches.log_snr.cpu().numpy().astype(float)
        observe(log_snr, errors * alpha(log_snr) ** 2)


def train(x, w, *, seed, recipe=None, label=None, device=None):
    """Return a ``Trained`` denoiser of the data x [n, d] for the weighting w.

    ``seed`` fixes initial weights, batches, levels and noise; on one machine the result is then the
    same each time. A ``label`` shows a progress bar. ``device`` is "cuda" where there is one, else
    "cpu". Raises ``ValueError`` for data that are not finite [n, d], for an improper w, and when
    the loss grows beyond all numbers.
    """
    recipe = usual_recipe(recipe)
    x = data_tensor(x, device)
    network, generator = initial_network(seed, x, recipe)
    average = deepcopy(network).requires_grad_(False)
    steps = training(network, average, x, w, recipe, generator)
    losses = torch.stack(list(progress(steps, recipe.n_steps, label)))
    return Trained(average, recipe, x.shape[1], losses.cpu().numpy())


def data_tensor(x, device=None):
    """Return data [n, d] as a float32 tensor on ``device``; see ``train``."""
    data = data_set(x)
    if (largest := np.abs(data).max()) > np.finfo(np.float32).max:
        raise ValueError(f"data must fit in float32, got {largest:g}: divide by its scale")
    return torch.from_numpy(data.astype(np.float32)).to(_device(device))


def usual_recipe(recipe):
    """Return the recipe, ``Recipe()`` for None, or raise ``ValueError`` for anything else."""
    return Recipe() if recipe is None else require_kind("recipe", recipe, Recipe, "see Recipe")


def _device(device):
    """The torch device of that name, where tensors can lie on it; None stands for the best."""
    if device is None:
        return torch.device("cuda" if gpu_is_here() else "cpu")
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except Exception as error:  # of many kinds, one for each way in which a device is not there
        raise ValueError(
            f'device must be "cpu", or "cuda" where there is one, got {device!r}: {error}'
        ) from None


def _require_generator(generator):
    """Raise ``ValueError`` unless it is a ``torch.Generator``."""
    require_kind("generator", generator, torch.Generator, "pass torch.Generator().manual_seed(0)")


def gpu_is_here():
    """Whether torch can use a CUDA device."""
    return torch.cuda.is_available()


def initial_network(seed, x, recipe):
    """Return the network a run with this seed starts from, and the generator of its draws."""
    seed, recipe = require_seed(seed), usual_recipe(recipe)
    start = torch.Generator().manual_seed(seed)
    network = Network(x.shape[1], recipe.width, recipe.n_blocks, recipe.skip, generator=start)
    return network.to(x.device), torch.Generator(x.device).manual_seed(seed + 2**32)


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network with its averaged weights, its recipe, and the loss of every step."""

    network: Network
    recipe: Recipe
    dim: int
    losses: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.float32))

    def eps(self, z, log_snr):
        """Return ε̂ = σ z + α v̂ for z [n, d], NumPy, at one level or [n, 1]; v̂ is in float32.

        What ``samplers.sample`` and ``image_metrics.bits_per_dimension`` take. Raises ``ValueError`` for
        other shapes, for levels outside those of training, and for a z too large for float32.
        """
        z, level = in_numpy(z), in_numpy(log_snr)
        if z.ndim != 2 or z.shape[1] != self.dim or not len(z):
            raise ValueError(f"z must be [n, {self.dim}] for this network, got {z.shape}")
        require_levels_fit(level, z)
        low, high = self.recipe.log_snr_min, self.recipe.log_snr_max
        if not (low - 1e-6 <= level.min() and level.max() <= high + 1e-6):
            raise ValueError(
                f"this network was trained on λ from {low:g} to {high:g}, got "
                f"{level.min():g} to {level.max():g}"
            )
        device = self.network.first.weight.device
        with np.errstate(over="ignore"):  # what becomes infinite shows in v
            inputs = (
                torch.from_numpy(np.asarray(array, dtype=np.float32)).to(device)
                for array in (z, level.reshape(-1, 1))
            )
            with torch.inference_mode():
                v = self.network(*inputs).cpu().numpy()
        if not np.isfinite(v).all():
            raise ValueError(f"the network's answer is not finite for z = {described(z)}")
        return sigma(level) * z + alpha(level) * v

    def sample(self, n, generator, *, n_steps=64, eta=0.0):
        """Return n images x̂ [n, dim], float64, by the DDIM sampler with stochasticity η in [0, 1].

        ``n_steps`` steps of equal Δλ over the levels of training, from z ~ N(0, I), then x̂ of the
        last latent. The same steps as ``samplers.sample``, in float32 and in place, which costs
        next to nothing beside the network. ``generator`` is a ``torch.Generator``.
        """
        require_count("n", n)
        require_count("n_steps", n_steps)
        _require_generator(generator)
        levels = np.linspace(self.recipe.log_snr_min, self.recipe.log_snr_max, n_steps + 1)
        step = ddim_coefficients(levels[:-1], levels[1:], real_number("eta", eta))
        # ε̂ = σ z + α v̂, so that one step is z ← of_z · z + of_v · v̂ + noise · ε
        of_z = step.keep + step.eps_hat * sigma(levels[:-1])
        of_v = step.eps_hat * alpha(levels[:-1])
        noise = np.broadcast_to(step.noise, of_z.shape)
        device = self.network.first.weight.device
        columns = torch.tensor(levels, dtype=torch.float32, device=device).reshape(-1, 1, 1)
        drawn = torch.empty((n, self.dim), device=generator.device)
        with torch.inference_mode():
            z = drawn.normal_(generator=generator).to(device, copy=True)
            rows = zip(columns, of_z.tolist(), of_v.tolist(), noise.tolist(), strict=False)
            for level, z_factor, v_factor, spread in rows:
                v = self.network(z, level)
                z.mul_(z_factor).add_(v, alpha=v_factor)
                if spread:
                    z.add_(drawn.normal_(generator=generator).to(device), alpha=spread)
            x = float(alpha(levels[-1])) * z
            x -= float(sigma(levels[-1])) * self.network(z, columns[-1])
        return x.cpu().numpy().astype(float)

    def save(self, path):
        """Write a checkpoint that ``load`` reads; plain tensors and numbers only."""
        state = {
            "recipe": asdict(self.recipe),
            "dim": self.dim,
            "losses": torch.from_numpy(self.losses),
            "weights": self.network.state_dict(),
        }
        torch.save(state, path)


def generator_for(trained, seed):
    """Return a ``torch.Generator`` with that seed on the device of a trained network."""
    return torch.Generator(trained.network.first.weight.device).manual_seed(require_seed(seed))


def load(path, device="cpu"):
    """Return the ``Trained`` denoiser of a checkpoint; nothing in the file is executed.

    Raises ``ValueError`` for a file that ``Trained.save`` did not write.
    """
    device = _device(device)
    with open(path, "rb") as file:
        try:
            state = torch.load(file, map_location=device, weights_only=True)
            recipe, dim = Recipe(**state["recipe"]), state["dim"]
            start = torch.Generator().manual_seed(0)
            network = Network(dim, recipe.width, recipe.n_blocks, recipe.skip, generator=start)
            network.load_state_dict(state["weights"])
            losses = state["losses"].cpu().numpy()
        except Exception as error:  # of many kinds, one for each way in which a file can be wrong
            raise ValueError(f"{path} is no checkpoint of Trained.save: {error}") from error
    return Trained(network.to(device).requires_grad_(False), recipe, dim, losses)


# --- How noisy the gradient is ------------------------------------------------------------------


def gradient_variance(network, x, levels, *, batch, n_batches, generator, low_discrepancy=True):
    """Return E‖g − E g‖² of the batch gradient g at the network's present weights.

    The trace of the gradient's covariance, from ``n_batches`` ≥ 2 independent batches. E g is the
    same for every density of levels and for low-discrepancy times or not, so what these change is
    this number alone. Leaves the network as it is. ``ValueError`` for fewer than two batches.
    """
    require_count("n_batches of a variance", n_batches, least=2)
    weights = [p for p in network.parameters() if p.requires_grad]
    total, squares = 0.0, 0.0
    batches = draw_batches(x, levels, n_batches, batch, generator, low_discrepancy)
    for draws in zip(*batches, strict=True):
        gradient = torch.autograd.grad(batch_loss(network, *draws)[0], weights)
        flat = torch.cat([g.flatten() for g in gradient]).double()
        total, squares = total + flat, squares + float(flat @ flat)
    mean = total / n_batches
    return (squares / n_batches - float(mean @ mean)) * n_batches / (n_batches - 1)
