"""Many training runs at once: K networks of one shape, each with its own weighting and seed.

``torch.func`` turns one network's forward pass into that of K: their weights are stacked along a
first axis, and ``vmap`` runs over it. Every run keeps its own initial weights, draws and levels, so
that it comes out as it would alone (``networks.train``), but for float32 rounding.

It is meant for a GPU, which so small a network leaves mostly idle; none was at hand to measure the
gain. On one thread of a CPU ten networks of width 32 take 1.9 times as many steps a second together
as alone, ten of width 256 as many as alone (``make bench``).
"""

from copy import deepcopy
from functools import partial

import torch
from torch.func import functional_call, stack_module_state, vmap

from course_utils._checks import listed
from course_utils.classroom.progress import progress
from course_utils.training.networks import (
    Batches,
    LevelSampler,
    Trained,
    data_tensor,
    draw_batches,
    initial_network,
    train_steps,
    usual_recipe,
)


class Stack:
    """K networks as one: (z [K, n, dim], log_snr [K, n, 1]) → v̂ [K, n, dim].

    ``weights`` maps each parameter's name to the K networks' values, [K, …].
    """

    def __init__(self, networks):
        self.weights, _ = stack_module_state(networks)  # the buffers are the same in all
        self.one = deepcopy(networks[0])

    def parameters(self):
        """The stacked weights, for an optimiser."""
        return self.weights.values()

    def __call__(self, z, log_snr):
        forward = partial(functional_call, self.one)
        return vmap(forward)(self.weights, (z, log_snr))

    def networks(self):
        """Return the K networks, with copies of their weights."""
        apart = [deepcopy(self.one).requires_grad_(False) for _ in next(iter(self.parameters()))]
        for k, network in enumerate(apart):
            network.load_state_dict({name: each[k] for name, each in self.weights.items()})
        return apart


def train_together(x, weightings, seeds, *, recipe=None, label=None, device=None):
    """Return the ``Trained`` denoisers of the data x [n, d], one of each weighting and seed.

    ``weightings`` and ``seeds`` have one length K; ``weightings[k]`` is trained with ``seeds[k]``.
    The rest is as in ``networks.train``. Raises ``ValueError`` as that does, and for lengths that
    differ or are zero.
    """
    weightings, seeds = listed("weightings", weightings), listed("seeds", seeds)
    if not 0 < len(weightings) == len(seeds):
        raise ValueError(
            f"need one seed for each weighting, got {len(weightings)} weightings and "
            f"{len(seeds)} seeds"
        )
    recipe = usual_recipe(recipe)
    x = data_tensor(x, device)
    networks, generators = zip(*(initial_network(seed, x, recipe) for seed in seeds), strict=True)
    levels = [
        LevelSampler(w, recipe.log_snr_min, recipe.log_snr_max, recipe.levels) for w in weightings
    ]

    def draw(count):
        each = [
            draw_batches(x, own, count, recipe.batch, generator, recipe.low_discrepancy)
            for own, generator in zip(levels, generators, strict=True)
        ]
        return Batches(*(torch.stack(parts, dim=1) for parts in zip(*each, strict=True)))

    def observe(log_snr, error):
        for k, own in enumerate(levels):
            own.observe(log_snr[:, k], error[:, k])

    stack = Stack(networks)
    average = Stack(networks)
    for each in average.parameters():
        each.requires_grad_(False)
    steps = train_steps(stack, average, draw, observe, recipe)
    losses = torch.stack(list(progress(steps, recipe.n_steps, label)), dim=1).cpu().numpy()
    return [
        Trained(network, recipe, x.shape[1], own)
        for network, own in zip(average.networks(), losses, strict=True)
    ]
