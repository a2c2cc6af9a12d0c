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
def test_the_fast_way_gives_the_bits_of_the_plain_way(features: int, places: list[int]) -> None:
    pool = random_images(20, features)
    where = torch.tensor(places, dtype=torch.int64)
    assert torch.equal(Gatherer(pool)(where), gather(pool, where))


@pytest.mark.parametrize("features", [28 * 28, 3 * 32 * 32, 3 * 84 * 84])
def test_the_fast_way_is_taken_for_the_images_of_every_data_set(features: int) -> None:
    pool = random_images(20, features)
    fast = Gatherer(pool)
    assert fast._table is not None
    places = torch.arange(19, -1, -1)
    assert torch.equal(fast(places), gather(pool, places))


def test_images_of_any_shape_keep_it() -> None:
    pool = random_images(20, 3, 4, 5)
    assert gather(pool, torch.tensor([4, 4])).shape == (2, 3, 4, 5)


def test_a_pool_too_large_to_keep_twice_is_read_in_the_plain_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "PACKED_BYTES", 79)
    pool = random_images(20, 4)
    plain = Gatherer(pool)
    assert plain._table is None
    assert torch.equal(plain(torch.arange(20)), gather(pool, torch.arange(20)))


@pytest.mark.parametrize("wrong", [AttributeError("gone"), RuntimeError("not built in"), None])
def test_an_operator_that_is_gone_or_wrong_is_not_used(
    wrong: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(table: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        if wrong is not None:
            raise wrong
        return torch.zeros(len(places), table.shape[1] - 8)

    monkeypatch.setattr(images, "_look_up", broken)
    pool = random_images(20, 4)
    assert torch.equal(Gatherer(pool)(torch.arange(20)), gather(pool, torch.arange(20)))
