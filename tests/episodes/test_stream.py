"""The training stream: its budget, its batches, and resuming it from a checkpoint."""

import copy
import math
from collections.abc import Iterator
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from metabench.datasets.sinusoid import Sinusoid
from metabench.episodes import (
    ClassSampler,
    FamilySampler,
    NWayKShot,
    Sampler,
    TaskBatch,
    TaskStream,
)
from metabench.episodes.stream import labelled_examples
from metabench.errors import DivergedError, ProtocolError
from metabench.runtime.counter_rng import make_key, random_bits
from tests.helpers.coded_pool import coded_pool, decode

POOL = coded_pool(classes=7, examples=10)
PROTOCOL = NWayKShot(3, 1, 2)
EACH = PROTOCOL.examples


class PoolSource:
    """Draws from a pool of seven classes, and records each request."""

    train_classes = 7

    def __init__(self) -> None:
        self.protocols: list[NWayKShot] = []
        self.seen: list[Tensor] = []

    def sampler(self, protocol: NWayKShot, stream: int) -> Sampler:
        self.protocols.append(protocol)
        return ClassSampler(POOL, protocol, make_key("train", stream))

    def labelled(self, stream: int, start: int, count: int) -> tuple[Tensor, Tensor]:
        bits = random_bits(make_key("labelled", stream), torch.arange(start, start + count), 1)
        return labelled_examples(POOL.images, bits.squeeze(1))

    def on_drawn(self, batch: TaskBatch) -> None:
        self.seen.append(batch.classes)


class WaveSource(PoolSource):
    """Draws sine waves."""

    train_classes = 0

    def sampler(self, protocol: NWayKShot, stream: int) -> Sampler:
        self.protocols.append(protocol)
        return FamilySampler(Sinusoid(), protocol, make_key("train", stream))


def stream_of(budget: int, **options: Any) -> TaskStream:
    return TaskStream(PoolSource(), PROTOCOL, budget, **options)


def same(a: TaskBatch, b: TaskBatch) -> bool:
    return torch.equal(a.support_x, b.support_x) and torch.equal(a.query_x, b.query_x)


class TestTheBudget:
    @given(
        st.integers(0, 400),
        st.integers(1, 5),
        st.integers(2, 7),
        st.integers(1, 3),
        st.integers(1, 3),
    )
    def test_is_spent_in_whole_batches_and_never_exceeded(
        self, budget: int, tasks: int, ways: int, shots: int, queries: int
    ) -> None:
        tasks_stream = stream_of(budget)
        drawn = [
            len(batch) * (batch.support_x.shape[1] + batch.query_x.shape[1])
            for batch in tasks_stream.batches(tasks, ways=ways, shots=shots, queries=queries)
        ]
        task_cost = ways * (shots + queries)
        batch_cost = min(tasks, max(1, budget // task_cost)) * task_cost
        assert drawn == [batch_cost] * (budget // batch_cost)
        assert tasks_stream.spent == sum(drawn) <= budget
        assert tasks_stream.steps == len(drawn)

    @given(st.integers(1, 400), st.integers(1, 50))
    def test_is_charged_for_each_labelled_example(self, budget: int, count: int) -> None:
        tasks_stream = stream_of(budget)
        drawn = [len(x) for x, _ in tasks_stream.examples(count)]
        size = min(count, budget)
        assert drawn == ([size] * (budget // size) if budget else [])
        assert tasks_stream.spent == sum(drawn)

    @pytest.mark.parametrize(
        ("budget", "expected"), [(3 * EACH + 1, [3]), (7 * EACH, [4]), (EACH - 1, [])]
    )
    def test_reduces_the_batch_if_not_even_one_of_the_requested_size_fits(
        self, budget: int, expected: list[int]
    ) -> None:
        tasks_stream = stream_of(budget)
        assert [len(batch.support_x) for batch in tasks_stream.batches(4)] == expected

    @given(st.floats(0, 1), st.integers(1, 4))
    def test_beyond_the_share_of_the_first_loop_is_left_to_the_next(
        self, share: float, tasks: int
    ) -> None:
        tasks_stream = stream_of(120)
        for _ in tasks_stream.batches(tasks, share=share):
            pass
        assert 120 * share - tasks * EACH < tasks_stream.spent <= 120 * share + 1e-6
        for _ in tasks_stream.examples(1):
            pass
        assert tasks_stream.spent == 120

    @given(st.integers(0, 300), st.integers(1, 12))
    def test_is_not_exceeded_by_interleaved_loops(self, budget: int, count: int) -> None:
        tasks_stream = stream_of(budget)
        drawn = 0
        batches, examples = tasks_stream.batches(1), tasks_stream.examples(count)
        for batch in batches:
            drawn += batch.examples + len(next(examples, ([],))[0])
        assert drawn == tasks_stream.spent <= budget

    def test_is_charged_for_the_last_batch_of_an_abandoned_loop(self) -> None:
        tasks_stream = stream_of(3 * EACH + 1)
        assert [next(tasks_stream.batches(1)).examples for _ in range(3)] == [EACH] * 3
        assert tasks_stream.spent == 3 * EACH
        assert next(tasks_stream.batches(1), None) is None

    def test_is_charged_for_a_batch_before_its_step_is_counted(self) -> None:
        steps: list[tuple[int, int]] = []
        tasks_stream = stream_of(3 * EACH, on_step=lambda s: steps.append((s.steps, s.spent)))
        during = [(tasks_stream.steps, tasks_stream.spent) for _ in tasks_stream.batches(1)]
        assert during == [(0, EACH), (1, 2 * EACH), (2, 3 * EACH)]
        assert steps == [(1, EACH), (2, 2 * EACH), (3, 3 * EACH)]

    @pytest.mark.parametrize("share", [0.07, 0.29, 0.57, 0.58])
    def test_is_exact_for_shares_in_whole_per_cent(self, share: float) -> None:
        tasks_stream = stream_of(100)
        assert len(list(tasks_stream.examples(1, share=share))) == round(100 * share)

    def test_determines_the_progress_from_0_to_1(self) -> None:
        tasks_stream = stream_of(4 * EACH)
        assert tasks_stream.progress == 0
        assert [tasks_stream.progress for _ in tasks_stream.batches(1)] == [0, 0.25, 0.5, 0.75]
        assert tasks_stream.progress == 1


class TestABatch:
    def test_has_the_shape_of_the_test_episodes_by_default(self) -> None:
        batch = next(stream_of(1000).batches(4))
        assert (len(batch), batch.ways, batch.examples) == (4, 3, 4 * EACH)

    @pytest.mark.parametrize(("requested", "expected"), [(2, 2), (7, 7), (8, 7), (60, 7)])
    def test_has_the_requested_ways_capped_at_the_training_classes(
        self, requested: int, expected: int
    ) -> None:
        batch = next(stream_of(1000).batches(1, ways=requested))
        assert batch.ways == batch.classes.shape[1] == expected

    def test_of_a_regression_family_has_no_ways(self) -> None:
        waves = TaskStream(WaveSource(), NWayKShot(0, 5, 10), 1000)
        batch = next(waves.batches(4, shots=10))
        assert (batch.ways, batch.support_x.shape) == (0, (4, 10, 1))
        assert waves.train_classes == 0

    def test_that_the_pool_is_too_small_for_is_rejected(self) -> None:
        with pytest.raises(ProtocolError, match="9 shots and 2 queries"):
            next(stream_of(1000).batches(1, shots=9))

    def test_is_passed_to_on_drawn_before_it_is_yielded(self) -> None:
        source = PoolSource()
        yielded = []
        for batch in TaskStream(source, PROTOCOL, 5 * EACH).batches(1):
            yielded.append(batch.classes)
            assert len(source.seen) == len(yielded)
        assert all(torch.equal(a, b) for a, b in zip(source.seen, yielded, strict=True))

    def test_is_not_drawn_again_by_another_loop(self) -> None:
        tasks_stream = stream_of(40 * EACH)
        first = list(tasks_stream.batches(4, share=0.5))
        second = list(tasks_stream.batches(4))
        assert len(first) == len(second) == 5
        assert not any(same(a, b) for a in first for b in second)

    def test_is_not_drawn_again_by_its_own_loop(self) -> None:
        batches = list(stream_of(40 * EACH).batches(1))
        shown = {batch.query_x.numpy().tobytes() for batch in batches}
        assert len(shown) == 40

    @given(st.integers(1, 500), st.integers(1, 4))
    def test_is_independent_of_the_chunk_size(self, chunk: int, tasks: int) -> None:
        with patch.object(Sampler, "chunk_examples", chunk):
            in_chunks = list(stream_of(200).batches(tasks))
        alone = list(stream_of(200).batches(tasks))
        assert all(same(a, b) for a, b in zip(in_chunks, alone, strict=True))

    @given(st.integers(1, 6))
    def test_of_any_size_holds_the_same_episodes(self, tasks: int) -> None:
        in_batches = [task for batch in stream_of(60 * EACH).batches(tasks) for task in batch]
        one_by_one = [task for batch in stream_of(60 * EACH).batches(1) for task in batch]
        assert len(one_by_one) - len(in_batches) < tasks
        for a, b in zip(in_batches, one_by_one, strict=False):
            assert torch.equal(a.query_x, b.query_x)


def three_loops(tasks_stream: TaskStream) -> Iterator[Tensor]:
    """Batches of one shape, of another, and single examples: each one's pixels."""
    for batch in tasks_stream.batches(2, share=0.4):
        yield batch.query_x
    for batch in tasks_stream.batches(1, ways=5, share=0.8):
        yield batch.query_x
    for x, _ in tasks_stream.examples(7):
        yield x


class Counter:
    """A stateful object that counts its steps."""

    def __init__(self) -> None:
        self.steps = 0

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        self.steps = state_dict["steps"]
        return None


class TestAnInterruptedStream:
    WHOLE: ClassVar[int] = 24
    """The steps that the three loops take on a budget of 300."""

    @given(st.integers(1, WHOLE))
    def test_resumes_with_exactly_the_remaining_batches(self, stop: int) -> None:
        states: list[dict[str, Any]] = []
        whole = list(three_loops(stream_of(300, on_step=lambda s: states.append(s.state_dict()))))
        assert len(whole) == len(states) == self.WHOLE
        resumed = stream_of(300)
        resumed.load_state_dict(states[stop - 1])
        rest = list(three_loops(resumed))
        assert len(rest) == self.WHOLE - stop
        assert all(torch.equal(a, b) for a, b in zip(rest, whole[stop:], strict=True))
        assert resumed.state_dict() == states[-1]

    @given(st.lists(st.integers(1, 9), max_size=6))
    def test_can_be_interrupted_repeatedly(self, runs: list[int]) -> None:
        whole = list(three_loops(stream_of(300)))
        seen: list[Tensor] = []
        state = stream_of(300).state_dict()
        for length in [*runs, self.WHOLE]:
            states: list[dict[str, Any]] = []
            tasks_stream = stream_of(
                300, on_step=lambda s, states=states: states.append(s.state_dict())
            )
            tasks_stream.load_state_dict(state)
            for done, x in enumerate(three_loops(tasks_stream)):
                if done == length:
                    break
                seen.append(x)
            state = states[-1] if states else state
        assert all(torch.equal(a, b) for a, b in zip(seen, whole, strict=True))

    def test_restores_kept_states_in_order(self) -> None:
        tasks_stream = stream_of(300)
        first, second = tasks_stream.keep(Counter()), tasks_stream.keep(Counter())
        first.steps, second.steps = 3, 4
        resumed = stream_of(300)
        resumed.load_state_dict(tasks_stream.state_dict())
        assert [resumed.keep(Counter()).steps for _ in range(3)] == [3, 4, 0]

    def test_trains_to_the_same_bits_as_an_uninterrupted_one(self) -> None:
        saved: list[Any] = []

        def train(weight: Tensor, state: dict[str, Any] | None) -> None:
            def save(s: TaskStream) -> None:
                saved.append(copy.deepcopy((weight.detach(), s.state_dict())))

            tasks_stream = stream_of(8 * EACH, on_step=save)
            if state is not None:
                tasks_stream.load_state_dict(state)
            optimizer = tasks_stream.keep(torch.optim.Adam([weight], lr=0.1))
            for batch in tasks_stream.batches(1):
                optimizer.zero_grad()
                (weight * batch.query_x.mean()).square().sum().backward()
                optimizer.step()

        uninterrupted = torch.ones(1, requires_grad=True)
        train(uninterrupted, None)
        weight, state = saved[4]
        train(weight.requires_grad_(), state)
        assert torch.equal(weight, uninterrupted)
        assert len(saved) == 8 + 3

    def test_is_resumable_after_a_call_of_keep(self) -> None:
        tasks_stream = stream_of(300)
        assert not tasks_stream.resumable
        tasks_stream.keep(Counter())
        assert all(tasks_stream.resumable for _ in tasks_stream.batches(1, share=0.5))
        assert all(tasks_stream.resumable for _ in tasks_stream.examples(10))

    def test_is_not_resumable_with_interleaved_loops(self) -> None:
        tasks_stream = stream_of(300)
        tasks_stream.keep(Counter())
        for _ in zip(tasks_stream.batches(1), tasks_stream.examples(1), strict=False):
            assert not tasks_stream.resumable

    def test_shares_no_list_with_its_saved_state(self) -> None:
        tasks_stream = stream_of(300)
        batches = tasks_stream.batches(1)
        next(batches)
        state = tasks_stream.state_dict()
        next(batches)
        assert state["positions"] == [1]
        assert tasks_stream.state_dict()["positions"] == [2]


def train_on(tasks_stream: TaskStream, losses: list[Any]) -> None:
    for loss, _ in zip(losses, tasks_stream.batches(1), strict=False):
        tasks_stream.log(loss)


class TestALoss:
    @pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("make", [float, torch.tensor])
    def test_that_is_not_finite_ends_training_with_the_step_in_the_message(
        self, loss: float, make: Any
    ) -> None:
        tasks_stream = stream_of(1000)
        with pytest.raises(DivergedError, match=rf"the outer loss is {loss} at outer step 3\."):
            train_on(tasks_stream, [make(value) for value in (1.0, 1.0, 1.0, loss, 1.0)])
        assert tasks_stream.steps == 3

    def test_is_checked_every_so_many_steps(self) -> None:
        with pytest.raises(DivergedError, match="outer step 4"):
            train_on(stream_of(1000, check_every=4), [1.0, *[math.nan] * 9])

    def test_is_stored_without_its_graph(self) -> None:
        tasks_stream = stream_of(1000)
        assert math.isnan(float(tasks_stream.last_loss))
        tasks_stream.log(torch.tensor(2.0, requires_grad=True) * 3)
        assert isinstance(tasks_stream.last_loss, Tensor)
        assert not tasks_stream.last_loss.requires_grad
        assert float(tasks_stream.last_loss) == 6


class TestLabelledExamples:
    def test_match_their_labels(self) -> None:
        for x, y in stream_of(500).examples(50):
            classes, _, _ = decode(x)
            assert torch.equal(classes, y)
            assert x.dtype == torch.float32
            assert y.dtype == torch.int64

    def test_are_labelled_by_row_if_classes_have_variants(self) -> None:
        pool = coded_pool(5, 4, variants=3)
        x, rows = labelled_examples(pool.images, random_bits(0, torch.arange(1), 400)[0])
        classes, _, variants = decode(x)
        assert torch.equal(classes * 3 + variants, rows)

    def test_are_drawn_uniformly_over_rows_and_drawers(self) -> None:
        x, rows = labelled_examples(POOL.images, random_bits(1, torch.arange(1), 14_000)[0])
        _, examples, _ = decode(x)
        counts = (rows * 10 + examples).bincount(minlength=70)
        assert chisquare(counts).pvalue > 0.001

    @given(st.integers(1, 40))
    def test_are_the_same_in_batches_of_any_size(self, count: int) -> None:
        together = torch.cat([y for _, y in stream_of(60).examples(count)])
        one_by_one = torch.cat([y for _, y in stream_of(60).examples(1)])
        assert torch.equal(together, one_by_one[: len(together)])
