"""The track of a sealed cell is measured as in one process, and no label is sent for it."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm
from metabench.episodes import ClassSampler, NWayKShot
from metabench.metrics.accuracy.metric import Accuracy
from metabench.metrics.local_model import LocalModel
from metabench.metrics.model import Model
from metabench.metrics.track import MeasuredTrack, measure_track
from metabench.metrics.trial import Trial
from metabench.running.sealing.channel import Channel, Message
from metabench.running.sealing.client import RemoteModel
from metabench.running.sealing.service import CLOSE, declared, serve
from metabench.runtime.counter_rng import make_key
from tests.helpers.small_trials import (
    CentresQueries,
    FailsOnSingleQuery,
    Means,
    OneByOne,
    WrongShape,
    image_problem,
    pattern_pool,
)

EPISODES, WAYS, SHOTS, QUERIES, PROBES = 25, 5, 5, 6, 2


@dataclass
class Recorded:
    """A channel that keeps what it sends."""

    channel: Channel
    sent: list[Message] = field(default_factory=list)

    def send(self, kind: str, values: dict[str, Any] | None = None, *tensors: Tensor) -> None:
        self.sent.append(Message(kind, values or {}, tensors))
        self.channel.send(kind, values, *tensors)

    def receive(self) -> Message:
        return self.channel.receive()


@pytest.fixture
def channels() -> Iterator[tuple[Recorded, Channel]]:
    (a, b), (c, d) = os.pipe(), os.pipe()
    here, there = Channel(a, d), Channel(c, b)
    yield Recorded(here), there
    for channel in (here, there):
        channel.close()


def trial_of(model: Algorithm | Model) -> Trial:
    sampler = ClassSampler(pattern_pool(), NWayKShot(WAYS, SHOTS, QUERIES), make_key("track"))
    return Trial(model, sampler, EPISODES, probes=PROBES)


def measured_remotely(algorithm: Algorithm, here: Recorded, there: Channel) -> MeasuredTrack:
    local = LocalModel(algorithm)
    worker = threading.Thread(target=serve, args=(there, local, torch.device("cpu")))
    worker.start()
    try:
        model = RemoteModel(here, algorithm.problem, declared(local))
        return measure_track(trial_of(model), Accuracy())
    finally:
        here.channel.send(CLOSE)
        worker.join()


@pytest.mark.parametrize("make", [Means, OneByOne, CentresQueries, FailsOnSingleQuery])
def test_it_is_that_of_the_same_method_in_one_process(
    channels: tuple[Recorded, Channel], make: type[Algorithm]
) -> None:
    algorithm = make(image_problem(ways=WAYS, shots=SHOTS, queries=QUERIES)).eval()
    expected = measure_track(trial_of(algorithm), Accuracy())
    assert measured_remotely(algorithm, *channels) == expected


def test_the_worker_gets_labels_of_support_sets_and_positions_and_no_other_integers(
    channels: tuple[Recorded, Channel],
) -> None:
    here, there = channels
    algorithm = CentresQueries(image_problem(ways=WAYS, shots=SHOTS, queries=QUERIES)).eval()
    found = measured_remotely(algorithm, here, there)
    assert {"inductive_score", "unbalanced_score"} <= set(found.evidence)
    assert {"predict-both", "adapt", "forward"} <= {message.kind for message in here.sent}
    labels = torch.arange(WAYS).repeat_interleave(SHOTS)
    for message in here.sent:
        assert not set(message.values) - {
            *("ways", "keep_graph", "support_grad", "start", "grad", "predictor")
        }
        integers = [t for t in message.tensors if not t.is_floating_point()]
        for tensor in integers[:1]:
            assert torch.equal(tensor.sort().values, labels.expand(len(tensor), -1))
        for positions in integers[1:]:
            # In ascending order, which no order of labels is: each position at most once.
            assert message.kind == "predict-both"
            assert positions.ndim == 1
            assert torch.equal(positions, positions.unique())


def test_the_positions_of_the_probes_do_not_depend_on_the_labels() -> None:
    algorithm = Means(image_problem(ways=WAYS, shots=SHOTS, queries=QUERIES)).eval()
    first, second = trial_of(algorithm), trial_of(algorithm)
    second.sampler = ClassSampler(pattern_pool(), first.sampler.protocol, make_key("other"))
    for trial in (first, second):
        trial.predictions()
    for a, b in zip(first.probed, second.probed, strict=True):
        assert not torch.equal(a.targets, b.targets)
        assert torch.equal(a.positions, b.positions)


def test_single_predictions_of_another_shape_count_as_a_failure(
    channels: tuple[Recorded, Channel],
) -> None:
    class WrongAlone(Means):
        """Predicts one output for a single query."""

        def adapt_batch(self, support: Any) -> Any:
            right = super().adapt_batch(support)
            wrong = WrongShape(self.problem).adapt_batch(support)
            return lambda query: (right if query.shape[1] > 1 else wrong)(query)

    algorithm = WrongAlone(image_problem(ways=WAYS, shots=SHOTS, queries=QUERIES)).eval()
    found = measured_remotely(algorithm, *channels)
    assert found.track == "transductive"
    assert "it cannot predict a single query" in found.evidence["reason"]
