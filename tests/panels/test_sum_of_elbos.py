"""The sum-of-ELBOs panel: the bar of the right side is made of what it says."""

import numpy as np
import pytest

from course_utils.objectives import PUBLISHED
from course_utils.panels import sum_of_elbos


@pytest.mark.parametrize("objective", PUBLISHED)
def test_both_sides_agree_and_the_parts_make_the_bar(objective):
    for values in ({}, {"shift": 6.0, "model": "wrong"}, {"log_snr_min": -2.0, "galaxy": 82}):
        found, arrays = sum_of_elbos.compute(objective=objective, **values)
        assert found["sum_of_elbos"] == pytest.approx(found["weighted_loss"], rel=1e-6)
        assert found["kept"] - found["constant"] == pytest.approx(found["sum_of_elbos"])
        assert found["gained"] >= -1e-12 and found["kept"] <= found["with_atom"]
        # the areas drawn are those of the bars
        left = np.trapezoid(arrays["half"], arrays["grid"])
        cells = np.diff(arrays["grid"])
        atom = found["with_atom"] - found["gained"]
        right = (arrays["product"] * cells).sum() + atom - found["constant"]
        assert [left, right] == pytest.approx([found["weighted_loss"]] * 2, rel=0.02, abs=1e-4)
