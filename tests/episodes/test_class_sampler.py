"""N-way K-shot episodes: what an episode contains, and how classes and examples are distributed."""

from collections import Counter
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from metabench.datasets import ClassPool
from metabench.datasets.sinusoid import Sinusoid
from metabench.episodes import ClassSampler, FamilySampler, NWayKShot
from metabench.errors import ProtocolError
from tests.helpers.coded_pool import coded_pool, decode
from tests.helpers.small_samplers import KEY, P_VALUE, class_sampler, same, tensors

shapes = st.builds(
    dict,
    ways=st.integers(2, 6),
    shots=st.integers(1, 4),
    queries=st.integers(1, 4),
    classes=st.integers(6, 9),
    examples=st.integers(8, 10),
    variants=st.integers(1, 3),
)


class TestAnEpisode:
    @given(shapes, st.integers(0, 2**40))
    def test_has_the_requested_shots_and_queries_of_every_class(
        self, shape: dict[str, int], index: int
    ) -> None:
        batch = class_sampler(**shape).tasks(torch.tensor([index]))
        for y, each in ((batch.support_y[0], shape["shots"]), (batch.query_y[0], shape["queries"])):
            assert y.bincount(minlength=shape["ways"]).tolist() == [each] * shape["ways"]
        assert batch.support_x.shape == (1, shape["ways"] * shape["shots"], 1, 2, 2)
        assert batch.query_x.shape == (1, shape["ways"] * shape["queries"], 1, 2, 2)
        assert batch.support_x.dtype == batch.query_x.dtype == torch.float32
        assert batch.support_y.dtype == batch.query_y.dtype == batch.classes.dtype == torch.int64
        assert batch.ways == shape["ways"]

    @given(shapes, st.integers(0, 2**40))
    def test_contains_no_example_twice(self, shape: dict[str, int], index: int) -> None:
        batch = class_sampler(**shape).tasks(torch.tensor([index]))
        shown = torch.cat([batch.support_x[0], batch.query_x[0]])
        assert len(set(zip(*(code.tolist() for code in decode(shown)), strict=True))) == len(shown)

    @given(shapes, st.integers(0, 2**40))
    def test_gives_a_class_the_same_label_in_support_and_query(
        self, shape: dict[str, int], index: int
    ) -> None:
        batch = class_sampler(**shape).tasks(torch.tensor([index]))
        for x, y in ((batch.support_x, batch.support_y), (batch.query_x, batch.query_y)):
            assert torch.equal(decode(x)[0], batch.classes.gather(1, y))

    @given(shapes, st.integers(0, 2**40))
    def test_has_distinct_classes_with_one_variant_each(
        self, shape: dict[str, int], index: int
    ) -> None:
        batch = class_sampler(**shape).tasks(torch.tensor([index]))
        assert len(set(batch.classes[0].tolist())) == shape["ways"]
        classes, _, variants = decode(torch.cat([batch.support_x[0], batch.query_x[0]]))
        shown = set(zip(classes.tolist(), variants.tolist(), strict=True))
        assert len(shown) == shape["ways"]

    def test_scales_bytes_by_the_float32_value_of_one_255th(self) -> None:
        levels = torch.arange(256, dtype=torch.uint8).view(2, 2, 1, 8, 8)
        pool = ClassPool(levels, ("a", "b"))
        batch = ClassSampler(pool, NWayKShot(2, 1, 1), KEY).range(0, 1)
        shown = torch.cat([batch.support_x.flatten(), batch.query_x.flatten()]).sort().values
        assert torch.equal(shown, torch.arange(256) * torch.tensor(1 / 255))
        assert shown.max() == 1

    def test_can_take_every_class_and_every_example_of_the_pool(self) -> None:
        batch = class_sampler(ways=7, shots=3, queries=5, classes=7, examples=8).range(0, 50)
        assert batch.classes.sort(1).values.tolist() == [list(range(7))] * 50
        _, examples, _ = decode(torch.cat([batch.support_x, batch.query_x], 1))
        assert examples.flatten().bincount().tolist() == [7 * 50] * 8

    def test_can_be_changed_in_place_without_changing_any_other(self) -> None:
        changed, fresh = class_sampler(), class_sampler()
        for tensor in tensors(changed.range(0, 3)):
            tensor.zero_()
        assert same(changed.range(0, 6), fresh.range(0, 6))


class TestTheDistributionOfEpisodes:
    """Chi-squared tests on fixed keys."""

    EPISODES: ClassVar[int] = 6000

    def test_classes_are_equally_frequent(self) -> None:
        batch = class_sampler(classes=12).range(0, self.EPISODES)
        counts = batch.classes.flatten().bincount(minlength=12)
        assert counts.sum() == 5 * self.EPISODES
        assert chisquare(counts).pvalue > P_VALUE

    def test_pairs_of_classes_are_equally_frequent(self) -> None:
        batch = class_sampler(ways=2, classes=7).range(0, self.EPISODES)
        pairs = Counter(tuple(sorted(pair)) for pair in batch.classes.tolist())
        assert len(pairs) == 7 * 6 / 2
        assert chisquare(list(pairs.values())).pvalue > P_VALUE

    def test_labels_are_independent_of_classes(self) -> None:
        batch = class_sampler(classes=12).range(0, self.EPISODES)
        label = torch.arange(5).expand_as(batch.classes)
        table = (batch.classes * 5 + label).flatten().bincount(minlength=60).view(12, 5)
        assert chi2_contingency(table).pvalue > P_VALUE

    @pytest.mark.parametrize("name", ["support_x", "query_x"])
    def test_drawers_are_equally_frequent(self, name: str) -> None:
        shown = getattr(class_sampler(examples=8).range(0, self.EPISODES), name)
        _, examples, _ = decode(shown)
        assert chisquare(examples.flatten().bincount(minlength=8)).pvalue > P_VALUE

    def test_drawers_are_independent_between_the_classes_of_an_episode(self) -> None:
        batch = class_sampler(ways=2, shots=1, queries=1, examples=6).range(0, self.EPISODES)
        _, examples, _ = decode(batch.support_x)
        table = (examples[:, 0] * 6 + examples[:, 1]).bincount(minlength=36)
        assert chisquare(table).pvalue > P_VALUE

    def test_variants_are_equally_frequent_and_independent(self) -> None:
        batch = class_sampler(ways=2, shots=1, queries=1, variants=4).range(0, self.EPISODES)
        _, _, variants = decode(batch.support_x)
        table = (variants[:, 0] * 4 + variants[:, 1]).bincount(minlength=16)
        assert chisquare(table).pvalue > P_VALUE

    def test_the_position_of_a_query_is_independent_of_its_label(self) -> None:
        batch = class_sampler(ways=3, queries=3).range(0, self.EPISODES)
        position = torch.arange(9).expand_as(batch.query_y)
        table = (position * 3 + batch.query_y).flatten().bincount(minlength=27).view(9, 3)
        assert chi2_contingency(table).pvalue > P_VALUE

    def test_all_orders_of_query_labels_are_equally_frequent(self) -> None:
        batch = class_sampler(ways=2, shots=1, queries=2).range(0, self.EPISODES)
        orders = Counter(map(tuple, batch.query_y.tolist()))
        assert len(orders) == 6
        assert chisquare(list(orders.values())).pvalue > P_VALUE

    def test_the_order_of_queries_is_independent_of_the_drawers(self) -> None:
        batch = class_sampler(ways=2, shots=1, queries=3, examples=4).range(0, self.EPISODES)
        position = torch.arange(6).expand_as(batch.query_y)
        _, examples, _ = decode(batch.query_x)
        table = (position * 4 + examples).flatten().bincount(minlength=24).view(6, 4)
        assert chi2_contingency(table).pvalue > P_VALUE

    def test_an_episode_is_independent_of_the_one_before(self) -> None:
        first = class_sampler(ways=2, classes=6).range(0, self.EPISODES).classes[:, 0]
        table = (first[:-1] * 6 + first[1:]).bincount(minlength=36).view(6, 6)
        assert chi2_contingency(table).pvalue > P_VALUE


class TestAnImpossibleProtocol:
    def test_with_too_many_ways_is_rejected_with_both_numbers(self) -> None:
        with pytest.raises(ProtocolError, match=r"13-way .* 12 classes of the toy pool"):
            ClassSampler(coded_pool(12, 8), NWayKShot(13, 1, 1), KEY, source="the toy pool")

    def test_with_too_many_examples_is_rejected_with_all_numbers(self) -> None:
        with pytest.raises(ProtocolError, match=r"4 shots and 5 queries need 9 examples .* has 8"):
            class_sampler(shots=4, queries=5, examples=8)

    def test_with_ways_is_rejected_for_a_regression_family(self) -> None:
        with pytest.raises(ProtocolError, match="5-way"):
            FamilySampler(Sinusoid(), NWayKShot(5, 1, 1), KEY)

    def test_without_ways_is_rejected_for_a_pool_of_classes(self) -> None:
        with pytest.raises(ProtocolError, match="0 ways"):
            class_sampler(ways=0)
