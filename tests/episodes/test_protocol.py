"""N-way K-shot protocols: their costs, and which of them are rejected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabench.episodes import NWayKShot
from metabench.errors import ProtocolError


@given(st.integers(2, 30), st.integers(1, 30), st.integers(1, 30))
def test_an_episode_costs_its_support_and_query_examples(
    ways: int, shots: int, queries: int
) -> None:
    protocol = NWayKShot(ways, shots, queries)
    assert protocol.support_size == ways * shots
    assert protocol.query_size == ways * queries
    assert (
        protocol.examples
        == protocol.support_size + protocol.query_size
        == ways * protocol.per_class
    )


@given(st.integers(1, 30), st.integers(1, 30))
def test_a_regression_episode_has_its_shots_and_queries_once(shots: int, queries: int) -> None:
    protocol = NWayKShot(0, shots, queries)
    assert (protocol.support_size, protocol.query_size) == (shots, queries)
    assert protocol.examples == shots + queries


@pytest.mark.parametrize("ways", [1, -1, -5])
def test_one_way_and_negative_ways_are_rejected(ways: int) -> None:
    with pytest.raises(ProtocolError, match=f"^{ways}-way"):
        NWayKShot(ways, 1, 1)


@pytest.mark.parametrize(
    ("shots", "queries", "says"),
    [
        (0, 1, "0 shots and 1 query"),
        (1, 0, "1 shot and 0 queries"),
        (-2, 3, "-2 shots and 3 queries"),
    ],
)
def test_fewer_than_one_shot_or_query_is_rejected(shots: int, queries: int, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        NWayKShot(5, shots, queries)


def test_with_changes_only_the_named_numbers() -> None:
    protocol = NWayKShot(5, 1, 15)
    assert protocol.with_() == protocol
    assert protocol.with_(ways=20) == NWayKShot(20, 1, 15)
    assert protocol.with_(shots=5, queries=10) == NWayKShot(5, 5, 10)
    assert protocol.with_(ways=0) == NWayKShot(0, 1, 15)


def test_a_changed_protocol_is_checked_again() -> None:
    with pytest.raises(ProtocolError, match="1-way"):
        NWayKShot(5, 1, 15).with_(ways=1)


@given(
    st.integers(2, 9), st.integers(1, 5), st.integers(1, 5), st.integers(1, 9), st.integers(1, 10)
)
def test_a_pool_is_rejected_exactly_if_it_is_too_small(
    ways: int, shots: int, queries: int, classes: int, examples: int
) -> None:
    protocol = NWayKShot(ways, shots, queries)
    if ways <= classes and shots + queries <= examples:
        protocol.check_pool(classes, examples, source="the pool")
    else:
        with pytest.raises(ProtocolError) as rejected:
            protocol.check_pool(classes, examples, source="the pool")
        numbers = {ways, classes} if ways > classes else {shots, queries, shots + queries, examples}
        assert all(str(number) in rejected.value.message for number in numbers)
        assert rejected.value.hint


def test_the_repr_that_digests_use_is_stable() -> None:
    assert repr(NWayKShot(5, 1, 15)) == "NWayKShot(ways=5, shots=1, queries=15)"


@pytest.mark.parametrize(
    ("shots", "queries", "says"),
    [
        (1, 20, "1 shot and 20 queries need 21 examples of a class"),
        (20, 1, "20 shots and 1 query need 21 examples of a class"),
    ],
)
def test_a_single_shot_or_query_is_in_the_singular(shots: int, queries: int, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        NWayKShot(5, shots, queries).check_pool(10, 20, source="the pool")


def test_a_pool_of_one_class_has_no_episodes() -> None:
    with pytest.raises(ProtocolError, match="from the 1 class of the pool") as caught:
        NWayKShot(5, 1, 1).check_pool(1, 20, source="the pool")
    assert caught.value.hint == "An episode has at least 2 ways: choose another data set."
