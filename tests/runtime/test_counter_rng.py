import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from metabench.runtime.counter_rng import (
    GOLDEN,
    below,
    first_distinct,
    make_key,
    mix,
    random_bits,
    shuffle_order,
    shuffled,
    uniform,
)

WORD = 2**64
KEYS = st.integers(-(2**63), 2**63 - 1)
BITS = st.lists(KEYS, min_size=1, max_size=50)


def reference_mix(x: int) -> int:
    """SplitMix64's finaliser in arbitrary precision."""
    x = (x ^ (x >> 30)) * 0xBF58_476D_1CE4_E5B9 % WORD
    x = (x ^ (x >> 27)) * 0x94D0_49BB_1331_11EB % WORD
    return x ^ (x >> 31)


def reference_bits(key: int, index: int, count: int) -> list[int]:
    golden = 0x9E37_79B9_7F4A_7C15
    seed = reference_mix((index + 1) * golden % WORD ^ key % WORD)
    return [reference_mix((seed + i * golden) % WORD) for i in range(1, count + 1)]


def unsigned(x: torch.Tensor) -> list[int]:
    return [value % WORD for value in x.tolist()]


def test_splitmix64_returns_the_published_numbers_for_seed_1234567() -> None:
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    states = 1234567 + torch.arange(1, 6) * GOLDEN
    assert unsigned(mix(states)) == published
    assert [reference_mix((1234567 + i * GOLDEN) % WORD) for i in range(1, 6)] == published


@given(BITS)
def test_mix_in_tensors_and_in_arrays_is_mix_in_arbitrary_precision(words: list[int]) -> None:
    expected = [reference_mix(word % WORD) for word in words]
    assert unsigned(mix(torch.tensor(words))) == expected
    assert unsigned(torch.from_numpy(mix(np.array(words)))) == expected


@given(KEYS, st.lists(st.integers(0, 2**62), min_size=1, max_size=5), st.integers(1, 8))
def test_random_bits_in_tensors_and_in_arrays_are_those_of_arbitrary_precision(
    key: int, indices: list[int], count: int
) -> None:
    expected = [reference_bits(key, index, count) for index in indices]
    tensor = random_bits(key, torch.tensor(indices), count)
    array = random_bits(key, np.array(indices), count)
    assert [unsigned(row) for row in tensor] == expected
    assert np.array_equal(array, tensor.numpy())


def test_random_bits_do_not_change_the_indices() -> None:
    tensor, array = torch.arange(4), np.arange(4)
    random_bits(1, tensor, 2)
    random_bits(1, array, 2)
    assert tensor.tolist() == array.tolist() == [0, 1, 2, 3]


@given(KEYS, st.integers(1, 20), st.integers(1, 20))
def test_more_numbers_begin_with_the_same_numbers(key: int, few: int, more: int) -> None:
    index = np.arange(3)
    assert np.array_equal(
        random_bits(key, index, few), random_bits(key, index, few + more)[:, :few]
    )


@given(BITS, st.integers(1, 2**31))
def test_below_is_at_least_zero_and_below_its_limit(words: list[int], limit: int) -> None:
    numbers = below(torch.tensor(words), limit)
    assert ((numbers >= 0) & (numbers < limit)).all()
    assert numbers.tolist() == below(np.array(words), limit).tolist()


def test_below_reaches_both_ends_of_its_range() -> None:
    assert below(torch.tensor([0, -1]), 7).tolist() == [0, 6]


def test_below_is_uniform() -> None:
    numbers = below(random_bits(make_key("below"), torch.arange(1), 70_000), 7)
    assert chisquare(numbers.flatten().bincount(minlength=7)).pvalue > 0.001


@given(BITS)
def test_uniform_is_at_least_zero_and_below_one(words: list[int]) -> None:
    numbers = uniform(torch.tensor(words))
    assert numbers.dtype == torch.float64
    assert ((numbers >= 0) & (numbers < 1)).all()


def test_uniform_reaches_the_last_number_before_one() -> None:
    assert uniform(torch.tensor([0, -1])).tolist() == [0.0, 1 - 2.0**-53]


def test_uniform_is_uniform() -> None:
    numbers = uniform(random_bits(make_key("uniform"), torch.arange(1), 50_000)).flatten()
    assert chisquare(torch.histc(numbers, 50, 0, 1)).pvalue > 0.001


@given(KEYS, st.integers(1, 6), st.integers(1, 40))
def test_a_shuffle_is_a_permutation_of_each_row(key: int, rows: int, count: int) -> None:
    bits = random_bits(key, torch.arange(rows), count)
    everything = [list(range(count))] * rows
    assert shuffle_order(bits).sort(1).values.tolist() == everything
    assert np.sort(shuffled(bits.numpy(), count), axis=1).tolist() == everything


def test_a_shuffle_is_uniform_over_permutations() -> None:
    bits = random_bits(make_key("orders"), torch.arange(24_000), 4)
    for orders in (shuffle_order(bits).tolist(), shuffled(bits.numpy(), 4).tolist()):
        seen = [tuple(order) for order in orders]
        counts = [seen.count(order) for order in itertools.permutations(range(4))]
        assert sum(counts) == 24_000
        assert chisquare(counts).pvalue > 0.001


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=12, max_size=12), min_size=1, max_size=5),
    st.integers(1, 10),
)
def test_first_distinct_keeps_the_order_of_first_appearance(
    rows: list[list[int]], count: int
) -> None:
    expected = [list(dict.fromkeys(row))[:count] for row in rows]
    found = first_distinct(np.array(rows), count)
    if min(len(row) for row in expected) < count:
        assert found is None
    else:
        assert found is not None
        assert found.tolist() == expected


def test_first_distinct_is_uniform_over_ordered_choices() -> None:
    values = below(random_bits(make_key("choices"), np.arange(24_000), 60), 4)
    found = first_distinct(values, 2)
    assert found is not None
    seen = [tuple(choice) for choice in found.tolist()]
    counts = [seen.count(choice) for choice in itertools.permutations(range(4), 2)]
    assert sum(counts) == 24_000
    assert chisquare(counts).pvalue > 0.001


@given(st.lists(st.one_of(st.text(max_size=3), st.integers(-3, 12)), max_size=4), st.data())
def test_different_parts_have_different_keys(parts: list[str | int], data: st.DataObject) -> None:
    others = data.draw(st.lists(st.one_of(st.text(max_size=3), st.integers(-3, 12)), max_size=4))
    assert (make_key(*parts) == make_key(*others)) == (parts == others)


def test_the_boundaries_of_the_parts_change_the_key() -> None:
    keys = {
        make_key("a", "b"),
        make_key("ab"),
        make_key("a", "b", ""),
        make_key("a, b"),
        make_key("a", 1),
    }
    assert len(keys | {make_key("a1"), make_key("a", "1")}) == 7


def test_a_key_is_the_same_on_every_machine() -> None:
    assert make_key("glyphs-5w1s@1", "test", 0) == -2777207707711732363
