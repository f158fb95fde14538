"""A small set of images in the files that Fashion-MNIST comes in."""

import gzip
import struct

import numpy as np


def idx(array):
    """The bytes of a gzipped idx file that holds an array of bytes."""
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
    return gzip.compress(head + array.astype(np.uint8).tobytes(), compresslevel=1, mtime=0)


def write_idx_set(folder, n_train=700, n_test=300):
    """Write handwritten digits, three times as large and with a border, and return their pixels."""
    from sklearn.datasets import load_digits

    small, labels = load_digits(return_X_y=True)
    large = np.kron(small.reshape(-1, 8, 8), np.ones((3, 3))) * 15.9
    pixels = np.pad(np.rint(large), [(0, 0), (2, 2), (2, 2)]).astype(np.uint8)
    parts = {"train": slice(n_train), "t10k": slice(n_train, n_train + n_test)}
    for part, those in parts.items():
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(pixels[those]))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(labels[those]))
    return {part: pixels[those] for part, those in parts.items()}
