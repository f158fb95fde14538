"""The comparing helpers fail where they must."""

import numpy as np
import pytest
from comparing import assert_close, contrast, largest_difference, refuses, standard_errors_off


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ([1.0, 2.0], [2.0, 1.0]),  # +1 and −1, whose sum is 0
        ([1.0, np.nan], [1.0, 2.0]),
        ([1.0, np.nan], [1.0, np.nan]),
        ([1.0, np.inf], [1.0, -np.inf]),
        ([1.0, 1.0 + 2e-6], [1.0, 1.0]),
    ],
)
def test_assert_close_fails_on_a_wrong_value(actual, expected):
    with pytest.raises(AssertionError, match="differs by up to"):
        assert_close(actual, expected, atol=1e-6)


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match="shapes"):
        assert_close(np.ones((3, 1)), np.ones(3), atol=1)
    with pytest.raises(ValueError, match="nothing"):
        largest_difference([], [])


def test_standard_errors_are_two_sided_and_an_estimate_without_spread_is_never_near():
    assert standard_errors_off(1.0, 0.1, 0.3) == pytest.approx(7)
    assert standard_errors_off(-0.4, 0.1, 0.3) == pytest.approx(7)
    for error in (0.0, -1.0, np.nan, np.inf):
        assert standard_errors_off(1.0, error, 1.0) == np.inf
    assert standard_errors_off(np.nan, 0.1, 1.0) == np.inf


def test_a_refusal_must_come_in_its_words_and_in_few():
    def refuse(words):
        raise ValueError(words)

    refuses("no", refuse, "no")
    for call, given in ((str, "no"), (refuse, "yes"), (refuse, "no" * 150)):
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            refuses("no", call, given)


def test_contrast_is_that_of_the_standard():
    assert contrast("white", "black") == contrast("black", "white") == pytest.approx(21)
    assert contrast("#777777", "white") == pytest.approx(4.48, abs=5e-3) and contrast("r", "r") == 1
