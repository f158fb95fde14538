"""The README's moving picture, made from the real panel: ``make picture``."""

import sys

import numpy as np

from course_utils.panels import sum_of_elbos

BENT = (0.0, 0.0, -1.0, 0.4, -0.3, 0.9, 0.0)  # a weighting that is not monotone


def moves():
    """Yield the values of the controls, frame by frame: shift w, bend it, lock it monotone."""
    for shift in 4 * np.sin(np.linspace(0, 2 * np.pi, 24, endpoint=False)):
        yield {"shift": round(float(shift), 1)}
    for part in np.linspace(0, 1, 14):
        yield {"shift": 0.0, "gains": tuple(np.round(part * np.array(BENT), 1).tolist())}
    for _ in range(6):
        yield {}
    for _ in range(10):
        yield {"monotone_lock": True}
    yield {"monotone_lock": False, "gains": (0.0,) * len(BENT)}


def main(path):
    """Write the animation to ``path`` as a WebP and print its size."""
    panel = sum_of_elbos.panel()
    frames = []
    for move in moves():
        panel.set(**move)
        frames.append(panel.picture.resize((940, 390)))
    first, *rest = frames
    first.save(path, save_all=True, append_images=rest, duration=110, loop=0, quality=70, method=6)
    panel.close()
    print(f"{path}: {len(frames)} frames")


if __name__ == "__main__":
    main(sys.argv[1])
