"""What one trained network is like: bits, errors level by level, and samples beside real images."""

import base64

import numpy as np

from course_utils.schedules import alpha, sigma
from course_utils.training.image_metrics import MEASURES, bits_per_dimension, metrics_for

ETAS = (0.0, 1.0)  # DDIM and the ancestral sampler
BITS = ("total", "prior", "diffusion", "reconstruction")
MEASURED = (
    *(f"bits.{term}" for term in BITS),
    "bits_train",
    *(f"eta{eta:g}.{measure}" for eta in ETAS for measure in MEASURES),
)
ON_SHEET = 12  # samples kept of each run


def measured(plan, model, seed):
    """Return what a ``networks.Trained`` model is like, at the end of a run or along it.

    bits (held-out −ELBO in bits per dimension: total and its terms), bits_train (the total of as
    many training images), noise_error (held-out E‖ε − ε̂‖²/d at the levels ``plan.curve``); eta0
    and eta1, ``image_metrics.MEASURES`` of DDIM and ancestral samples; sheets and side of some.
    """
    metrics = metrics_for(plan.data, plan.held_out)
    found = {
        "bits": _bits(plan, model, metrics, metrics.held_out),
        "bits_train": _bits(plan, model, metrics, metrics.train[: plan.held_out])["total"],
        "noise_error": _error_curve(model, metrics.held_out, plan.curve),
        "sheets": {},
        "side": metrics.images.side,
    }
    for eta in ETAS:
        rng = np.random.default_rng([2, seed])
        x = model.sample(plan.n_samples, rng, n_steps=plan.sampler_steps, eta=eta)
        found[f"eta{eta:g}"] = metrics.measure(metrics.rounded(x))
        kept = metrics.pixels(x[:ON_SHEET])
        found["sheets"][f"eta{eta:g}"] = base64.b64encode(kept.tobytes()).decode()
    return found


def _bits(plan, model, metrics, x):
    span, rng = (plan.log_snr_min, plan.log_snr_max), np.random.default_rng(1)  # as for every run
    bits = bits_per_dimension(model.eps, x, metrics.values, *span, rng, n_levels=plan.n_levels)
    return {term: float(getattr(bits, term).mean()) for term in BITS}


def _error_curve(model, x, levels):
    rng = np.random.default_rng(4)
    errors = []
    for level in levels:
        noise = rng.standard_normal(x.shape)
        z = alpha(level) * x + sigma(level) * noise
        errors.append(float(np.mean((noise - model.eps(z, level)) ** 2)))
    return errors
