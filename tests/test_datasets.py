"""The galaxies are the published ones, in the units that the course says; the shapes are shapes."""

import gzip
import struct

import numpy as np
import pytest
from comparing import assert_close, refuses

from course_utils import datasets


def test_the_galaxies():
    v, x = datasets.galaxy_velocities(), datasets.galaxies()
    assert (np.diff(v) > 0).all()  # sorted, and all 82 distinct
    assert v[0] == 9172 and v[-1] == 34279
    assert v[77] == 26960  # not 26690, as in some copies
    assert_close(v.mean(), 20831.4634, atol=1e-3)
    assert x.shape == (82, 1)
    assert_close([x.mean(), x.var()], [0, 1], atol=1e-13)
    assert_close(x[:, 0] * datasets.velocity_scale() + v.mean(), v, rtol=1e-14)


def test_what_a_cache_hands_out_is_read_only():
    datasets.galaxies()[:] = 0  # made anew by each call
    assert datasets.galaxies().any()
    for array in (datasets.galaxy_velocities(), *vars(datasets.planar_law("spiral")).values()):
        with pytest.raises(ValueError, match="read-only"):
            array *= 2


@pytest.mark.parametrize("name", datasets.PLANAR)
def test_a_shape_is_standardised_and_smooth(name):
    law = datasets.planar_law(name)
    assert_close(law.means.mean(axis=0), [0, 0], atol=1e-12)
    assert_close(law.means.var(axis=0).mean(), 1.0, atol=1e-12)
    if name != "blobs":
        gaps = np.linalg.norm(law.means[:, None] - law.means, axis=2)
        np.fill_diagonal(gaps, np.inf)
        assert gaps.min(axis=1).max() < 1.5 * np.sqrt(law.variances[0])


def nearest_centre(found):
    """The share of held-out images whose label is that of the nearest mean image."""
    centres = np.stack([found.train[found.labels == k].mean(axis=0) for k in range(10)])
    nearest = np.linalg.norm(found.held_out[:, None] - centres, axis=2).argmin(axis=1)
    return np.mean(nearest == found.held_out_labels)


def test_digits_are_split_scaled_and_complete():
    from sklearn.datasets import load_digits

    train, held_out = datasets.digits()
    assert train.shape == (1297, 64) and held_out.shape == (500, 64)
    every = np.concatenate([train, held_out])
    assert set(np.unique(every)) == set(datasets.grey_levels())
    assert_close([every.mean(), every.std()], [-0.3895, 0.7520], atol=1e-4)
    pixels = load_digits().data
    assert sorted(map(tuple, datasets.to_pixels(every))) == sorted(
        map(tuple, pixels.astype(np.uint8))
    )
    assert datasets.to_pixels([-1.3, -0.93, 0.02, 1.4]).tolist() == [0, 1, 8, 16]
    found = datasets.images("digits", 300)
    assert len(found.train) == 1497 and found.white == 16
    assert nearest_centre(found) > 0.85
    for n in (0, 1797, 2000):
        refuses("held_out", datasets.images, "digits", n)


def write_idx(path, array):
    """Write an array of bytes as Fashion-MNIST comes: a gzipped idx file."""
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes(), compresslevel=1))


def test_fashion_is_read_from_idx_files(tmp_path, monkeypatch):
    """Of handwritten digits, three times as large and with a border."""
    from sklearn.datasets import load_digits

    small, labels = load_digits(return_X_y=True)
    large = np.kron(small.reshape(-1, 8, 8), np.ones((3, 3))) * 15.9
    every, pixels = np.pad(np.rint(large), [(0, 0), (2, 2), (2, 2)]).astype(np.uint8), {}
    for part, those in (("train", slice(700)), ("t10k", slice(700, 1000))):
        pixels[part] = every[those]
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", every[those])
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", labels[those])
    monkeypatch.setenv("FASHION_MNIST", str(tmp_path))
    found = datasets.images("fashion", 120)
    assert (found.white, found.title) == (255, "Fashion-MNIST, 28×28")
    assert np.array_equal(datasets.to_pixels(found.train, 255).reshape(-1, 28, 28), pixels["train"])
    test_images = {image.tobytes() for image in pixels["t10k"]}
    held_out = {image.tobytes() for image in datasets.to_pixels(found.held_out, 255)}
    assert len(found.held_out) == 120 and held_out <= test_images
    assert np.isin(found.train, datasets.grey_levels(255)).all()
    assert found.train.min() == -1 and found.train.max() == pixels["train"].max() / 127.5 - 1
    assert nearest_centre(found) > 0.8


def test_without_fashion_the_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("FASHION_MNIST", str(tmp_path))
    refuses("install Debian's package dataset-fashion-mnist", datasets.images, "fashion")
    refuses("did you mean 'fashion'", datasets.images, "fashon")
