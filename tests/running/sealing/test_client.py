"""The scorer's model: what a worker sends is not trusted."""

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from metabench.algorithms.protonet import ProtoNet
from metabench.episodes import Support
from metabench.errors import CellFailed
from metabench.metrics.local_model import LocalModel
from metabench.running.sealing.channel import Channel, Message
from metabench.running.sealing.client import RemoteModel
from metabench.running.sealing.service import CLOSE, serve
from tests.helpers.few_shot import VECTOR, classification, make

PROBLEM = classification(3, 2, VECTOR, "mlp")
DECLARED = {"name": "planted", "transductive": False, "offers": []}


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    (a, b), (c, d) = os.pipe(), os.pipe()
    channels = Channel(a, d), Channel(c, b)
    yield channels
    for channel in channels:
        channel.close()


@pytest.fixture
def answering(ends) -> Callable[..., RemoteModel]:
    """A model whose worker answers each request with one message."""
    here, there = ends

    def answer(kind: str, values: dict[str, Any], *tensors: torch.Tensor) -> RemoteModel:
        def work() -> None:
            there.receive()
            there.send(kind, values, *tensors)

        threading.Thread(target=work, daemon=True).start()
        return RemoteModel(here, PROBLEM, DECLARED)

    return answer


def episode(grad: bool = False) -> tuple[Support, torch.Tensor]:
    x = torch.rand(2, 6, *VECTOR, requires_grad=grad)
    y = torch.arange(3).repeat_interleave(2).repeat(2, 1)
    return Support(x, y, 3), torch.rand(2, 4, *VECTOR)


@pytest.mark.parametrize(
    ("kind", "values", "tensors", "says"),
    [
        ("reply", {}, (), "sent no predictions"),
        ("reply", {}, (torch.zeros(2, 4, 3, dtype=torch.int64),), "sent no predictions"),
        ("trained", {}, (), "answered with 'trained'"),
    ],
)
def test_a_reply_of_another_form_fails_the_cell(
    answering, kind: str, values: dict[str, Any], tensors: Any, says: str
) -> None:
    model = answering(kind, values, *tensors)
    with pytest.raises(CellFailed, match=says):
        model.predict(*episode(), 0)


def test_an_error_is_raised_here(answering) -> None:
    model = answering("error", {"types": ["NotApplicable"], "text": "no.", "hint": ""})
    with pytest.raises(Exception, match="no") as caught:
        model.predict(*episode(), 0)
    assert type(caught.value).__name__ == "NotApplicable"


def test_a_reply_is_on_the_device_of_the_request() -> None:
    class Stub:
        def send(self, kind: str, values: Any, *tensors: torch.Tensor) -> None: ...

        def receive(self) -> Message:
            return Message("reply", {}, [torch.zeros(2, 4, 3)])

    model = RemoteModel(Stub(), PROBLEM, DECLARED)
    support, query = episode()
    meta = Support(support.x.to("meta"), support.y.to("meta"), 3)
    assert model.predict(meta, query.to("meta"), 0).device.type == "meta"
    assert model.predict(support, query, 0).device.type == "cpu"


class TestService:
    @pytest.fixture
    def remote(self, ends) -> Iterator[tuple[RemoteModel, LocalModel]]:
        """A model that answers from another thread, and the same in this one."""
        here, there = ends
        algorithm = make(ProtoNet, PROBLEM).eval()
        local = LocalModel(algorithm)
        worker = threading.Thread(target=serve, args=(there, local, torch.device("cpu")))
        worker.start()
        declared = {"name": local.name, "transductive": False, "offers": ["adapt_batch"]}
        yield RemoteModel(here, PROBLEM, declared), LocalModel(algorithm)
        here.send(CLOSE)
        worker.join()

    def test_gradients_are_those_of_the_model_in_this_process(self, remote) -> None:
        found = []
        for model in remote:
            torch.manual_seed(0)
            support, query = episode(grad=True)
            query.requires_grad_()
            support = Support(support.x, support.y, 3, keep_graph=True)
            with model.isolated(0):
                outputs = model.adapted(support)(query)
                loss = torch.nn.functional.cross_entropy(
                    outputs.flatten(0, 1), torch.zeros(8, dtype=torch.int64)
                )
                found.append(torch.autograd.grad(loss, [support.x, query]))
        for a, b in zip(*found, strict=True):
            assert torch.equal(a, b)
            assert bool(a.any())

    def test_a_predictor_ends_with_its_episode(self, remote) -> None:
        model, _ = remote
        support, query = episode()
        with model.isolated(0):
            predict = model.adapted(support)
            predict(query)
        with pytest.raises(KeyError, match="used after its episode"):
            predict(query)

    def test_a_request_that_there_is_not_is_an_error(self, remote) -> None:
        model, _ = remote
        with pytest.raises(KeyError):
            model.ask("labels")
