"""Examples are gathered to the same bits by the plain and by the packed path."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metabench.episodes import images
from metabench.episodes.images import Gatherer, gather


def random_images(*shape: int) -> torch.Tensor:
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


@given(st.integers(1, 70), st.lists(st.integers(0, 19), max_size=40))
def test_the_packed_path_gives_the_bits_of_the_plain_path(features: int, picks: list[int]) -> None:
    pool = random_images(20, features)
    indices = torch.tensor(picks, dtype=torch.int64)
    assert torch.equal(Gatherer(pool)(indices), gather(pool, indices))


@pytest.mark.parametrize("features", [28 * 28, 3 * 32 * 32, 3 * 84 * 84])
def test_the_packed_path_is_used_for_images_of_common_sizes(features: int) -> None:
    pool = random_images(20, features)
    packed = Gatherer(pool)
    assert packed._table is not None
    indices = torch.arange(19, -1, -1)
    assert torch.equal(packed(indices), gather(pool, indices))


def test_gathered_images_keep_their_shape() -> None:
    pool = random_images(20, 3, 4, 5)
    assert gather(pool, torch.tensor([4, 4])).shape == (2, 3, 4, 5)


def test_a_pool_above_the_size_limit_is_not_packed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "PACKED_BYTES", 79)
    pool = random_images(20, 4)
    plain = Gatherer(pool)
    assert plain._table is None
    assert torch.equal(plain(torch.arange(20)), gather(pool, torch.arange(20)))


@pytest.mark.parametrize("wrong", [AttributeError("missing"), RuntimeError("not built in"), None])
def test_a_missing_or_wrong_operator_is_not_used(
    wrong: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(table: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        if wrong is not None:
            raise wrong
        return torch.zeros(len(indices), table.shape[1] - 8)

    monkeypatch.setattr(images, "_look_up", broken)
    pool = random_images(20, 4)
    assert torch.equal(Gatherer(pool)(torch.arange(20)), gather(pool, torch.arange(20)))
