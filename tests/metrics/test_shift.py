"""A changed environment costs score; changes that are none cost nothing."""

import pytest
import torch
from small_world import Blind, Means, TargetMean, picture_trial, sine_trial

from metabench.metrics.base import measured
from metabench.metrics.shift import Shift


def test_a_turned_query_is_lost_to_pixel_means_and_a_turned_world_is_not() -> None:
    found = Shift(episodes=12).measure(picture_trial(Means, shots=5)).values
    assert found["query"]["rotation-90"]["drop"] > 0.5
    assert found["both"]["rotation-90"]["drop"] == pytest.approx(0, abs=1e-9)
    assert found["query"]["inverted"]["drop"] > 0.5
    assert found["both"]["inverted"]["drop"] == pytest.approx(0, abs=1e-9)


def test_no_turn_and_no_scale_change_nothing() -> None:
    found = Shift(episodes=6, angles=(0, 360), scales=(1,)).measure(picture_trial(Means, shots=5)).values
    for name in ("rotation-0", "rotation-360", "scale-1"):
        assert found["query"][name]["drop"] == 0.0


def test_a_quarter_turn_is_exact() -> None:
    from metabench.metrics.shift import _similarity

    x = torch.rand(1, 2, 1, 9, 9)
    turned = _similarity(x, torch.arange(1), "query", angle=90)
    torch.testing.assert_close(turned, x.rot90(1, (-2, -1)), atol=1e-5, rtol=0)
    larger = _similarity(x, torch.arange(1), "query", scale=3)
    torch.testing.assert_close(larger[..., 4, 4], x[..., 4, 4])


def test_a_blind_method_loses_nothing() -> None:
    assert set(Shift(episodes=4).measure(picture_trial(Blind)).episodes) == {0.0}


def test_regression_is_not_applicable() -> None:
    outcome = measured(Shift(), sine_trial(TargetMean))
    assert outcome.status == "n/a"
    assert "pictures" in outcome.reason
