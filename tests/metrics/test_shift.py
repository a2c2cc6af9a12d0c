"""The drop in score under a shift of the environment."""

import pytest
import torch

from metabench.datasets import ClassPool
from metabench.episodes import ClassSampler
from metabench.metrics.measure import measure
from metabench.metrics.shift import Shift
from metabench.metrics.trial import Trial
from tests.helpers.small_trials import Constant, Means, TargetMean, image_trial, sinusoid_trial


def test_pixel_means_lose_score_if_the_query_alone_is_rotated_and_none_if_both_are() -> None:
    found = Shift(episodes=12).measure(image_trial(Means, shots=5)).values
    assert found["query"]["rotation-90"]["drop"] > 0.5
    assert found["both"]["rotation-90"]["drop"] == pytest.approx(0, abs=1e-9)
    assert found["query"]["inverted"]["drop"] > 0.5
    assert found["both"]["inverted"]["drop"] == pytest.approx(0, abs=1e-9)


def test_no_turn_and_no_scale_change_nothing() -> None:
    found = (
        Shift(episodes=6, angles=(0, 360), scales=(1,)).measure(image_trial(Means, shots=5)).values
    )
    for name in ("rotation-0", "rotation-360", "scale-1"):
        assert found["query"][name]["drop"] == 0.0


def test_a_quarter_turn_is_exact() -> None:
    from metabench.metrics.shift import _rotate_and_scale

    x = torch.rand(1, 2, 1, 9, 9)
    turned = _rotate_and_scale(x, torch.arange(1), "query", angle=90)
    torch.testing.assert_close(turned, x.rot90(1, (-2, -1)), atol=1e-5, rtol=0)
    larger = _rotate_and_scale(x, torch.arange(1), "query", scale=3)
    torch.testing.assert_close(larger[..., 4, 4], x[..., 4, 4])


def test_a_rotated_or_scaled_image_has_no_new_values() -> None:
    from metabench.metrics.shift import _rotate_and_scale

    x = (torch.rand(2, 3, 1, 28, 28) < 0.3).float()
    for angle, scale in ((15.0, 1.0), (45.0, 1.0), (0.0, 0.7), (0.0, 1.3)):
        moved = _rotate_and_scale(x, torch.arange(2), "query", angle=angle, scale=scale)
        assert set(moved.unique().tolist()) == {0.0, 1.0}, "blur"
        assert not torch.equal(moved, x)


def test_a_constant_prediction_has_no_drop() -> None:
    assert set(Shift(episodes=4).measure(image_trial(Constant)).episodes) == {0.0}


def test_episodes_of_one_group_are_harder_if_its_classes_are_similar() -> None:
    """The classes of a group share most of their pattern, so that pixel means confuse them."""
    generator = torch.Generator().manual_seed(3)
    shared = torch.rand(3, 1, 1, 1, 12, 12, generator=generator)
    own = torch.rand(3, 6, 1, 1, 12, 12, generator=generator)
    noise = torch.randn(3, 6, 24, 1, 12, 12, generator=generator)
    images = (
        (0.7 * shared + 0.1 * own + 0.1 * noise).clamp(0, 1).mul(255).to(torch.uint8).flatten(0, 1)
    )
    names = tuple(f"class {i}" for i in range(18))
    pool = ClassPool(images, names, groups=tuple(f"group {i // 6}" for i in range(18)))
    plain = image_trial(Means, queries=6)
    trial = Trial(
        plain.algorithm, ClassSampler(pool, plain.sampler.protocol, plain.sampler.key), 40
    )
    found = Shift(episodes=40).measure(trial).values
    assert found["within_group"]["groups"] == 3
    assert found["within_group"]["drop"] > 0.05
    assert found["within_group"]["drop"] == pytest.approx(
        found["clean"] - found["within_group"]["score"]
    )
    assert "within_group" not in Shift(episodes=4, groups=False).measure(trial).values


def test_within_group_is_not_applicable_without_large_enough_groups() -> None:
    assert (
        "not grouped" in Shift(episodes=4).measure(image_trial(Means)).values["within_group"]["n/a"]
    )
    trial = image_trial(Means, episodes=4)
    pool = trial.sampler.pool  # type: ignore[attr-defined]
    pairs = ClassPool(
        pool.images, pool.class_names, groups=tuple(f"pair {i // 2}" for i in range(12))
    )
    trial = Trial(
        trial.algorithm, ClassSampler(pairs, trial.sampler.protocol, trial.sampler.key), 4
    )
    found = Shift(episodes=4).measure(trial)
    assert "the largest has 2" in found.values["within_group"]["n/a"]
    assert found.values["query"]["mean_drop"] is not None


def test_regression_is_not_applicable() -> None:
    result = measure(Shift(), sinusoid_trial(TargetMean))
    assert result.status == "n/a"
    assert "images" in result.reason


def test_elsewhere_is_not_applicable_in_a_trial_of_one_data_set() -> None:
    found = Shift(episodes=4, elsewhere=("glyphs",)).measure(image_trial(Means)).values
    assert "one data set only" in found["elsewhere"]["n/a"]
