"""Every episode is a pure function of its key and index, and has a digest."""

from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metabench.benchmarks.model import Benchmark
from metabench.benchmarks.tasks import BenchmarkTasks
from metabench.datasets import ClassDataset, ClassPool
from metabench.datasets.base import Split
from metabench.datasets.sinusoid import Sinusoid
from metabench.episodes import ClassSampler, FamilySampler, NWayKShot, Sampler, sampler
from tests.helpers.coded_pool import coded_pool
from tests.helpers.small_samplers import KEY, class_sampler, family_sampler, joined, same

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@given(
    cuts=st.lists(st.integers(0, 12), max_size=4),
    order=st.permutations(range(12)),
    prefetch=st.integers(1, 300),
    regression=st.booleans(),
)
def test_an_episode_is_independent_of_batch_order_and_earlier_draws(
    cuts: list[int], order: list[int], prefetch: int, regression: bool
) -> None:
    def fresh() -> Sampler:
        return family_sampler() if regression else class_sampler(classes=6)

    whole = fresh().tasks(torch.arange(12))
    pieces = list(pairwise([0, *sorted(cuts), 12]))
    with patch.object(sampler, "PREFETCH_EXAMPLES", prefetch):
        used = fresh()
        forward = [used.range(start, stop) for start, stop in pieces]
        backward = [used.range(start, stop) for start, stop in reversed(pieces)]
    assert same(joined(forward), whole)
    assert same(joined(backward[::-1]), whole)
    assert same(joined([used.tasks(torch.tensor([i])) for i in range(12)]), whole)
    shuffled = used.tasks(torch.tensor(order))
    assert same(joined([shuffled[i : i + 1] for i in np.argsort(order)]), whole)


@given(st.integers(1, 50), st.booleans())
def test_the_digest_is_independent_of_its_chunk_size(size: int, regression: bool) -> None:
    drawn = family_sampler() if regression else class_sampler()
    with patch.object(sampler, "DIGEST_CHUNK", size):
        in_chunks = drawn.digest(40)
    assert in_chunks == drawn.digest(40)


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


def test_splits_streams_seeds_and_versions_draw_different_episodes() -> None:
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

    def test_differs_between_pools_protocols_keys_and_numbers_of_episodes(self) -> None:
        pool, protocol = coded_pool(12, 8), NWayKShot(5, 2, 3)
        changed = pool.images.clone()
        changed[3, 1, 0, 0, 0] ^= 1
        samplers = [
            ClassSampler(pool, protocol, KEY),
            ClassSampler(pool, protocol, KEY + 1),
            ClassSampler(coded_pool(13, 8), protocol, KEY),
            ClassSampler(ClassPool(changed, pool.class_names), protocol, KEY),
            ClassSampler(pool, protocol.with_(shots=1), KEY),
            ClassSampler(pool, protocol.with_(ways=4), KEY),
            ClassSampler(pool, protocol.with_(shots=3, queries=2), KEY),
            family_sampler(),
            family_sampler(key=KEY + 1),
            family_sampler(shots=4, queries=11),
        ]
        digests = {drawn.digest(20) for drawn in samplers} | {samplers[0].digest(19)}
        assert len(digests) == len(samplers) + 1

    def test_differs_between_pools_that_differ_in_a_class_name(self) -> None:
        pool = coded_pool(2, 2)
        named = ClassPool(pool.images, ("class 0", "class one"))
        protocol = NWayKShot(2, 1, 1)
        assert ClassSampler(pool, protocol, KEY).digest(1) != ClassSampler(
            named, protocol, KEY
        ).digest(1)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("regression", [False, True])
def test_episodes_on_a_gpu_have_the_bits_of_those_on_the_cpu(regression: bool) -> None:
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
