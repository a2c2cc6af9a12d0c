"""Corruptions grow with their severity, and are pure functions of the episode."""

import itertools

import pytest
import torch

from metabench.errors import UsageError
from metabench.metrics.noise.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from metabench.metrics.perturbation import transform_images
from tests.helpers.small_trials import Means, image_trial


def images(*, channels: int = 1, side: int = 28) -> torch.Tensor:
    """Smooth images, and strokes on an empty background, ``[4, 5, C, H, W]``."""
    torch.manual_seed(0)
    coarse = torch.rand(10, channels, 5, 5)
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)
    strokes = (smooth - 0.5).abs().lt(0.05).to(torch.float32)
    return torch.cat([smooth, strokes]).view(4, 5, channels, side, side)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_distance_grows_with_the_severity(name: str, channels: int) -> None:
    x, indices = images(channels=channels), torch.arange(4)
    distances = [
        float((corrupt(name, severity)(x, indices, "query") - x).flatten(2).norm(dim=-1).mean())
        for severity in SEVERITIES
    ]
    assert distances[0] > 0
    assert all(later > 1.03 * earlier for earlier, later in itertools.pairwise(distances))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_image_is_valid_and_depends_on_its_episode_alone(name: str) -> None:
    x, indices = images(), torch.tensor([3, 8, 5, 1])
    corrupted = corrupt(name, 4)(x, indices, "query")
    assert corrupted.shape == x.shape
    assert corrupted.dtype == x.dtype
    assert 0 <= float(corrupted.min()) <= float(corrupted.max()) <= 1
    alone = corrupt(name, 4)(x[2:3], indices[2:3], "query")
    torch.testing.assert_close(alone, corrupted[2:3], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", [n for n, c in CORRUPTIONS.items() if c.numbers(1, 4, 4)])
def test_query_and_support_have_different_random_numbers(name: str) -> None:
    x, indices = images(), torch.arange(4)
    transform = corrupt(name, 3)
    assert torch.equal(transform(x, indices, "query"), transform(x, indices, "query"))
    assert not torch.equal(transform(x, indices, "query"), transform(x, indices, "support"))


def test_levels_are_those_of_the_table() -> None:
    x, indices = torch.full((1, 200, 1, 28, 28), 0.5), torch.arange(1)
    gaussian = corrupt("gaussian", 2)(x, indices, "query") - x
    assert float(gaussian.std()) == pytest.approx(0.12, rel=0.01)
    shot = corrupt("shot", 1)(x, indices, "query") - x
    assert float(shot.std()) == pytest.approx((0.5 / 60) ** 0.5, rel=0.01)
    impulse = corrupt("impulse", 5)(x, indices, "query")
    assert float((impulse == 0).double().mean()) == pytest.approx(0.135, abs=0.005)
    assert float((impulse == 1).double().mean()) == pytest.approx(0.135, abs=0.005)
    hidden = corrupt("occlusion", 3)(torch.zeros_like(x), indices, "query")
    assert float((hidden == 0.5).double().mean()) == pytest.approx((11 / 28) ** 2, abs=1e-6)
    assert float(corrupt("brightness", 1)(x, indices, "query").mean()) == pytest.approx(0.6)


def test_a_constant_image_is_unchanged_by_blur_contrast_pixelation_and_elastic() -> None:
    x, indices = torch.full((1, 3, 1, 28, 28), 0.3), torch.arange(1)
    for name in ("blur", "contrast", "pixelate", "elastic"):
        torch.testing.assert_close(corrupt(name, 5)(x, indices, "query"), x)


def test_only_the_named_set_changes() -> None:
    batch = image_trial(Means).sampler.range(0, 3)
    transform, indices = corrupt("gaussian", 3), torch.arange(3)
    for perturbed, query, support in (
        ("query", True, False),
        ("support", False, True),
        ("both", True, True),
    ):
        changed = transform_images(batch, indices, transform, perturbed)
        assert (not torch.equal(changed.query_x, batch.query_x)) is query
        assert (not torch.equal(changed.support_x, batch.support_x)) is support
        assert torch.equal(changed.query_y, batch.query_y)


def test_an_unknown_corruption_is_rejected() -> None:
    for name, severity in (("rain", 1), ("blur", 0), ("blur", 6)):
        with pytest.raises(UsageError, match="no corruption"):
            corrupt(name, severity)
