import math
from collections import Counter
from itertools import pairwise
from typing import ClassVar
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from metabench.benchmarks.model import Benchmark
from metabench.benchmarks.tasks import BenchmarkTasks
from metabench.datasets import ClassDataset, ClassPool
from metabench.datasets.base import Split
from metabench.datasets.sinusoid import Sinusoid
from metabench.episodes import ClassSampler, FamilySampler, NWayKShot, Sampler, TaskBatch, sampler
from metabench.errors import ProtocolError
from metabench.runtime.counter_rng import make_key
from tests.helpers.coded_pool import coded_pool, decode

KEY = make_key("test_sampler")
LIKELY = 0.001
"""Keys are fixed, so a p-value above this is one for good."""

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def class_sampler(
    ways: int = 5,
    shots: int = 2,
    queries: int = 3,
    *,
    classes: int = 12,
    examples: int = 8,
    variants: int = 1,
) -> ClassSampler:
    return ClassSampler(
        coded_pool(classes, examples, variants), NWayKShot(ways, shots, queries), KEY
    )


def family_sampler(shots: int = 5, queries: int = 10, key: int = KEY) -> FamilySampler:
    return FamilySampler(Sinusoid(), NWayKShot(0, shots, queries), key)


def tensors(batch: TaskBatch) -> list[torch.Tensor]:
    return [batch.support_x, batch.support_y, batch.query_x, batch.query_y, batch.classes]


def same(a: TaskBatch, b: TaskBatch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))


def joined(parts: list[TaskBatch]) -> TaskBatch:
    support_x, support_y, query_x, query_y, classes = map(
        torch.cat, zip(*map(tensors, parts), strict=True)
    )
    return TaskBatch(support_x, support_y, query_x, query_y, parts[0].ways, classes)


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
    def test_shows_every_class_in_as_many_support_and_query_examples_as_asked_for(
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
    def test_shows_no_example_twice(self, shape: dict[str, int], index: int) -> None:
        batch = class_sampler(**shape).tasks(torch.tensor([index]))
        shown = torch.cat([batch.support_x[0], batch.query_x[0]])
        assert len(set(zip(*(part.tolist() for part in decode(shown)), strict=True))) == len(shown)

    @given(shapes, st.integers(0, 2**40))
    def test_labels_a_class_alike_in_support_and_query(
        self, shape: dict[str, int], index: int
    ) -> None:
        batch = class_sampler(**shape).tasks(torch.tensor([index]))
        for x, y in ((batch.support_x, batch.support_y), (batch.query_x, batch.query_y)):
            assert torch.equal(decode(x)[0], batch.classes.gather(1, y))

    @given(shapes, st.integers(0, 2**40))
    def test_has_distinct_classes_each_in_one_variant(
        self, shape: dict[str, int], index: int
    ) -> None:
        batch = class_sampler(**shape).tasks(torch.tensor([index]))
        assert len(set(batch.classes[0].tolist())) == shape["ways"]
        classes, _, variants = decode(torch.cat([batch.support_x[0], batch.query_x[0]]))
        shown = set(zip(classes.tolist(), variants.tolist(), strict=True))
        assert len(shown) == shape["ways"]

    def test_is_in_0_to_1_as_the_byte_times_the_float32_of_one_255th(self) -> None:
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
        for part in tensors(changed.range(0, 3)):
            part.zero_()
        assert same(changed.range(0, 6), fresh.range(0, 6))


@given(
    cuts=st.lists(st.integers(0, 12), max_size=4),
    order=st.permutations(range(12)),
    ahead=st.integers(1, 300),
    regression=st.booleans(),
)
def test_an_episode_depends_on_neither_batch_nor_order_nor_what_was_drawn_before(
    cuts: list[int], order: list[int], ahead: int, regression: bool
) -> None:
    def fresh() -> Sampler:
        return family_sampler() if regression else class_sampler(classes=6)

    whole = fresh().tasks(torch.arange(12))
    pieces = list(pairwise([0, *sorted(cuts), 12]))
    with patch.object(sampler, "AHEAD_EXAMPLES", ahead):
        used = fresh()
        forward = [used.range(start, stop) for start, stop in pieces]
        backward = [used.range(start, stop) for start, stop in reversed(pieces)]
    assert same(joined(forward), whole)
    assert same(joined(backward[::-1]), whole)
    assert same(joined([used.tasks(torch.tensor([i])) for i in range(12)]), whole)
    shuffled = used.tasks(torch.tensor(order))
    assert same(joined([shuffled[i : i + 1] for i in np.argsort(order)]), whole)


@given(st.integers(1, 50), st.booleans())
def test_the_digest_does_not_depend_on_the_chunks_that_it_is_computed_in(
    size: int, regression: bool
) -> None:
    drawn = family_sampler() if regression else class_sampler()
    with patch.object(sampler, "DIGEST_CHUNK", size):
        in_chunks = drawn.digest(40)
    assert in_chunks == drawn.digest(40)


class TestEveryEpisodeIsDrawnLikeEveryOther:
    """Chi-squared tests on fixed keys."""

    EPISODES: ClassVar[int] = 6000

    def test_classes_come_equally_often(self) -> None:
        batch = class_sampler(classes=12).range(0, self.EPISODES)
        counts = batch.classes.flatten().bincount(minlength=12)
        assert counts.sum() == 5 * self.EPISODES
        assert chisquare(counts).pvalue > LIKELY

    def test_pairs_of_classes_come_equally_often(self) -> None:
        batch = class_sampler(ways=2, classes=7).range(0, self.EPISODES)
        pairs = Counter(tuple(sorted(pair)) for pair in batch.classes.tolist())
        assert len(pairs) == 7 * 6 / 2
        assert chisquare(list(pairs.values())).pvalue > LIKELY

    def test_labels_are_independent_of_classes(self) -> None:
        batch = class_sampler(classes=12).range(0, self.EPISODES)
        label = torch.arange(5).expand_as(batch.classes)
        table = (batch.classes * 5 + label).flatten().bincount(minlength=60).view(12, 5)
        assert chi2_contingency(table).pvalue > LIKELY

    @pytest.mark.parametrize("part", ["support_x", "query_x"])
    def test_drawers_come_equally_often(self, part: str) -> None:
        shown = getattr(class_sampler(examples=8).range(0, self.EPISODES), part)
        _, examples, _ = decode(shown)
        assert chisquare(examples.flatten().bincount(minlength=8)).pvalue > LIKELY

    def test_drawers_are_independent_between_the_classes_of_an_episode(self) -> None:
        batch = class_sampler(ways=2, shots=1, queries=1, examples=6).range(0, self.EPISODES)
        _, examples, _ = decode(batch.support_x)
        table = (examples[:, 0] * 6 + examples[:, 1]).bincount(minlength=36)
        assert chisquare(table).pvalue > LIKELY

    def test_variants_come_equally_often_and_independently_of_each_other(self) -> None:
        batch = class_sampler(ways=2, shots=1, queries=1, variants=4).range(0, self.EPISODES)
        _, _, variants = decode(batch.support_x)
        table = (variants[:, 0] * 4 + variants[:, 1]).bincount(minlength=16)
        assert chisquare(table).pvalue > LIKELY

    def test_the_place_of_a_query_says_nothing_about_its_label(self) -> None:
        batch = class_sampler(ways=3, queries=3).range(0, self.EPISODES)
        place = torch.arange(9).expand_as(batch.query_y)
        table = (place * 3 + batch.query_y).flatten().bincount(minlength=27).view(9, 3)
        assert chi2_contingency(table).pvalue > LIKELY

    def test_the_label_of_one_query_says_no_more_of_the_next_than_it_must(self) -> None:
        batch = class_sampler(ways=2, shots=1, queries=2).range(0, self.EPISODES)
        orders = Counter(map(tuple, batch.query_y.tolist()))
        assert len(orders) == 6
        assert chisquare(list(orders.values())).pvalue > LIKELY

    def test_the_order_of_queries_is_independent_of_the_drawers(self) -> None:
        batch = class_sampler(ways=2, shots=1, queries=3, examples=4).range(0, self.EPISODES)
        place = torch.arange(6).expand_as(batch.query_y)
        _, examples, _ = decode(batch.query_x)
        table = (place * 4 + examples).flatten().bincount(minlength=24).view(6, 4)
        assert chi2_contingency(table).pvalue > LIKELY

    def test_an_episode_is_independent_of_the_one_before(self) -> None:
        first = class_sampler(ways=2, classes=6).range(0, self.EPISODES).classes[:, 0]
        table = (first[:-1] * 6 + first[1:]).bincount(minlength=36).view(6, 6)
        assert chi2_contingency(table).pvalue > LIKELY


class Coded(ClassDataset):
    name = "coded"
    version = "1"
    input_shape = (1, 2, 2)

    def pool(self, split: Split) -> ClassPool:
        self.check_split(split)
        return coded_pool(12, 8)


def benchmark_tasks(seed: int = 0, version: str = "1") -> BenchmarkTasks:
    benchmark = Benchmark(
        name="coded",
        version=version,
        dataset="coded",
        ways=5,
        shots=2,
        queries=3,
        backbone="conv4",
        budget=100,
        metrics=("accuracy",),
    )
    return BenchmarkTasks(benchmark, Coded(), torch.device("cpu"), seed)


def test_other_splits_streams_seeds_and_versions_draw_other_episodes() -> None:
    protocol = NWayKShot(5, 2, 3)
    samplers = [
        benchmark_tasks().held_out("test"),
        benchmark_tasks().held_out("validation"),
        benchmark_tasks(version="2").held_out("test"),
        benchmark_tasks().sampler(protocol, 0),
        benchmark_tasks().sampler(protocol, 1),
        benchmark_tasks(seed=1).sampler(protocol, 0),
    ]
    first = [tuple(drawn.range(0, 20).classes.flatten().tolist()) for drawn in samplers]
    assert len(set(first)) == len(samplers)


def test_held_out_episodes_are_the_same_for_every_seed() -> None:
    a, b = (benchmark_tasks(seed).held_out("test") for seed in (0, 1))
    assert a.digest(20) == b.digest(20)
    assert same(a.range(0, 20), b.range(0, 20))


class TestTheDigest:
    def test_is_the_same_on_every_machine(self) -> None:
        classes, waves = class_sampler(variants=2).digest(300), family_sampler().digest(300)
        assert classes == "3d8892f5178d15841a444d4edcbb6b43b5cd8cf603225cd59d091726fb7ed2cf"
        assert waves == "053292de0e1f201599a014bcc545464d306d9f9c5e7ccd233999858aa950f685"

    def test_is_another_for_every_other_pool_protocol_key_and_number(self) -> None:
        pool, protocol = coded_pool(12, 8), NWayKShot(5, 2, 3)
        repainted = pool.images.clone()
        repainted[3, 1, 0, 0, 0] ^= 1
        samplers = [
            ClassSampler(pool, protocol, KEY),
            ClassSampler(pool, protocol, KEY + 1),
            ClassSampler(coded_pool(13, 8), protocol, KEY),
            ClassSampler(ClassPool(repainted, pool.class_names), protocol, KEY),
            ClassSampler(pool, protocol.with_(shots=1), KEY),
            ClassSampler(pool, protocol.with_(ways=4), KEY),
            ClassSampler(pool, protocol.with_(shots=3, queries=2), KEY),
            family_sampler(),
            family_sampler(key=KEY + 1),
            family_sampler(shots=4, queries=11),
        ]
        digests = {drawn.digest(20) for drawn in samplers} | {samplers[0].digest(19)}
        assert len(digests) == len(samplers) + 1

    def test_tells_apart_two_pools_that_differ_in_a_name(self) -> None:
        pool = coded_pool(2, 2)
        named = ClassPool(pool.images, ("class 0", "class one"))
        protocol = NWayKShot(2, 1, 1)
        assert ClassSampler(pool, protocol, KEY).digest(1) != ClassSampler(
            named, protocol, KEY
        ).digest(1)


class TestAnImpossibleProtocol:
    def test_with_too_many_ways_is_refused_with_both_numbers(self) -> None:
        with pytest.raises(ProtocolError, match=r"13-way .* 12 classes of the attic"):
            ClassSampler(coded_pool(12, 8), NWayKShot(13, 1, 1), KEY, where="the attic")

    def test_with_too_many_examples_is_refused_with_all_numbers(self) -> None:
        with pytest.raises(ProtocolError, match=r"4 shots and 5 queries need 9 examples .* has 8"):
            class_sampler(shots=4, queries=5, examples=8)

    def test_of_classes_is_refused_for_a_regression_family(self) -> None:
        with pytest.raises(ProtocolError, match="5-way"):
            FamilySampler(Sinusoid(), NWayKShot(5, 1, 1), KEY)

    def test_of_regression_is_refused_for_a_pool_of_classes(self) -> None:
        with pytest.raises(ProtocolError, match="0 ways"):
            class_sampler(ways=0)


class TestSinusoids:
    def test_are_sine_waves_of_the_drawn_amplitude_and_phase_rounded_to_float32_once(self) -> None:
        drawn = family_sampler()
        batch = drawn.range(0, 200)
        numbers = drawn.draw(torch.arange(200))
        parameters, inputs = numbers[:, :2].tolist(), numbers[:, 2:].tolist()
        x, y = (
            torch.cat([batch.support_x, batch.query_x], 1),
            torch.cat([batch.support_y, batch.query_y], 1),
        )
        for t in range(200):
            amplitude, phase = 0.1 + 4.9 * parameters[t][0], math.pi * parameters[t][1]
            exact_x = [10 * u - 5 for u in inputs[t]]
            exact_y = [amplitude * math.sin(value - phase) for value in exact_x]
            for got, exact in ((x[t], exact_x), (y[t], exact_y)):
                error = (got.flatten().double() - torch.tensor(exact, dtype=torch.float64)).abs()
                half_a_step = torch.from_numpy(np.spacing(np.abs(np.float32(exact)))).double() / 2
                assert (error <= half_a_step * (1 + 1e-6)).all()

    def test_have_amplitudes_phases_and_inputs_in_the_ranges_of_the_paper(self) -> None:
        drawn = family_sampler(shots=10, queries=10)
        batch = drawn.range(0, 3000)
        parameters = drawn.draw(torch.arange(3000))[:, :2]
        for numbers in (*parameters.unbind(1), (batch.query_x.flatten().double() + 5) / 10):
            assert 0 <= numbers.min() < 0.002
            assert 0.998 < numbers.max() <= 1
            assert chisquare(torch.histc(numbers, 20, 0, 1)).pvalue > LIKELY
        assert batch.query_y.abs().max() <= 5

    def test_cost_a_predictor_of_zero_4_252(self) -> None:
        per_task = family_sampler().range(0, 40_000).query_y.double().square().mean((1, 2))
        standard_error = float(per_task.std()) / math.sqrt(len(per_task))
        assert standard_error < 0.025
        assert abs(float(per_task.mean()) - 4.252) < 3 * standard_error

    def test_cost_the_best_predictor_that_does_not_adapt_3_006(self) -> None:
        batch = family_sampler().range(0, 40_000)
        mean_wave = -2.55 * 2 / math.pi * batch.query_x.double().cos()
        per_task = (batch.query_y - mean_wave).square().mean((1, 2))
        assert abs(float(per_task.mean()) - 3.006) < 3 * float(per_task.std()) / math.sqrt(
            len(per_task)
        )

    def test_have_the_shapes_of_a_regression_batch(self) -> None:
        batch = family_sampler(shots=5, queries=10).range(3, 7)
        assert batch.support_x.shape == batch.support_y.shape == (4, 5, 1)
        assert batch.query_x.shape == batch.query_y.shape == (4, 10, 1)
        assert {part.dtype for part in tensors(batch)[:4]} == {torch.float32}
        assert (batch.ways, batch.classes.shape, batch.examples) == (0, (4, 0), 60)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("regression", [False, True])
def test_episodes_on_a_gpu_are_those_on_the_cpu_bit_for_bit(regression: bool) -> None:
    def on(device: str) -> Sampler:
        if regression:
            return FamilySampler(Sinusoid(), NWayKShot(0, 5, 10), KEY, device)
        pool = ClassPool(
            torch.arange(256, dtype=torch.uint8).view(8, 32, 1, 1, 1), tuple("abcdefgh")
        )
        return ClassSampler(pool.to(device), NWayKShot(5, 8, 24), KEY, device)

    cpu, gpu = on("cpu"), on("cuda")
    assert same(cpu.range(0, 50), gpu.range(0, 50).to("cpu"))
    assert same(cpu.tasks(torch.arange(50)), gpu.tasks(torch.arange(50, device="cuda")).to("cpu"))
    assert cpu.digest(50) == gpu.digest(50)
