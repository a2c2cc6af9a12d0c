import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metabench.episodes import images
from metabench.episodes.images import Gatherer, gather


def random_images(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@given(
    st.lists(st.integers(1, 11), min_size=1, max_size=3),
    st.lists(st.integers(0, 19), max_size=40),
)
def test_the_fast_way_gives_the_bits_of_the_plain_way(shape: list[int], places: list[int]) -> None:
    pool = random_images(20, *shape)
    where = torch.tensor(places, dtype=torch.int64)
    found = Gatherer(pool)(where)
    assert found.shape == (len(places), *shape)
    assert torch.equal(found, gather(pool, where))


def test_the_fast_way_is_taken_for_the_images_of_every_data_set() -> None:
    for shape in ((1, 28, 28), (3, 32, 32), (3, 84, 84)):
        pool = random_images(20, *shape)
        fast = Gatherer(pool)
        assert fast._table is not None
        places = torch.arange(19, -1, -1)
        assert torch.equal(fast(places), gather(pool, places))


def test_a_pool_too_large_to_keep_twice_is_read_in_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "PACKED_BYTES", 79)
    pool = random_images(20, 2, 2)
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
    pool = random_images(20, 2, 2)
    assert torch.equal(Gatherer(pool)(torch.arange(20)), gather(pool, torch.arange(20)))
