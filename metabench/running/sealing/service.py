"""The worker's side of a sealed cell: answers requests for predictions until the channel closes."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from metabench.episodes import Support
from metabench.metrics.local_model import LocalModel
from metabench.metrics.model import AdaptedPredictor
from metabench.running.sealing.channel import Channel, Message
from metabench.running.sealing.remote_errors import describe
from metabench.runtime.exclusive import timing_lock

CLOSE = "close"
"""The request that ends the service."""

Reply = tuple[dict[str, Any], Sequence[Tensor]]


def serve(channel: Channel, model: LocalModel, device: torch.device) -> None:
    """Answer a :class:`~metabench.running.sealing.client.RemoteModel` until it says so.

    Args:
        channel: The channel to the scorer.
        model: The trained algorithm.
        device: The device that it computes on.

    Raises:
        ChannelClosed: If the scorer ended.
    """
    service = _Service(model, device)
    while True:
        # While the scorer computes, this process waits: it must not keep another cell from timing
        # something alone.
        with timing_lock.released():
            request = channel.receive()
        if request.kind == CLOSE:
            return
        try:
            values, tensors = service.answer(request)
        # SystemExit: a plugin may call sys.exit, which is its error and not the end.
        except (Exception, SystemExit) as error:
            channel.send("error", describe(error))
        else:
            channel.send("reply", values, *tensors)


def declared(model: LocalModel) -> dict[str, Any]:
    """Returns what a :class:`~metabench.running.sealing.client.RemoteModel` is made from."""
    offers = [name for name in ("adapt_batch", "adapt_path") if model.offers(name)]
    return {"name": model.name, "transductive": model.transductive, "offers": offers}


@dataclass
class _Session:
    """What lives from an ``enter`` to its ``exit``.

    Args:
        ended: Ends the isolation of the model.
        predictors: The predictors by number.
        graphs: Inputs and outputs of predictions that may be differentiated, by number.
    """

    ended: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    predictors: dict[int, tuple[AdaptedPredictor, Tensor]] = field(default_factory=dict)
    graphs: dict[int, tuple[list[Tensor], Tensor]] = field(default_factory=dict)


class _Service:
    def __init__(self, model: LocalModel, device: torch.device) -> None:
        self._model = model
        self._device = device
        # One more than there are `enter` requests: a predictor may be used outside of them.
        self._sessions = [_Session()]
        self._numbers = 0
        self._answers: dict[str, Callable[[dict[str, Any], Sequence[Tensor]], Reply]] = {
            "predict": self._predict,
            "predict-both": self._predict_both,
            "enter": self._enter,
            "exit": self._exit,
            "adapt": self._adapt,
            "forward": self._forward,
            "alone": self._alone,
            "forward-graph": self._forward_graph,
            "backward": self._backward,
            "path": self._path,
            "divergent-step": self._divergent_step,
            "time": self._time,
            "cost": self._cost,
        }

    def answer(self, request: Message) -> Reply:
        tensors = [tensor.to(self._device) for tensor in request.tensors]
        return self._answers[request.kind](request.values, tensors)

    def _predict(self, values: dict[str, Any], tensors: Sequence[Tensor]) -> Reply:
        support, query = _support(values, tensors), tensors[2]
        return {}, [self._model.predict(support, query, values["start"])]

    def _predict_both(self, values: dict[str, Any], tensors: Sequence[Tensor]) -> Reply:
        support, query, positions = _support(values, tensors), tensors[2], tensors[3]
        found = self._model.predict_both(support, query, positions, values["start"])
        if found.alone is None:
            return {"error": found.alone_error}, [found.together]
        return {}, [found.together, found.alone]

    def _enter(self, values: dict[str, Any], tensors: Sequence[Tensor]) -> Reply:
        session = _Session()
        session.ended.enter_context(self._model.isolated(values["start"]))
        self._sessions.append(session)
        return {}, ()

    def _exit(self, values: dict[str, Any], tensors: Sequence[Tensor]) -> Reply:
        self._sessions.pop().ended.close()
        return {"leaked": sorted(self._model.leaked_state)}, ()

    def _adapt(self, values: dict[str, Any], tensors: Sequence[Tensor]) -> Reply:
        support = _support(values, tensors)
        with torch.set_grad_enabled(values["grad"]):
            predictor = self._model.adapted(support)
        number = self._next()
        self._sessions[-1].predictors[number] = predictor, support.x
        return {"predictor": number}, ()

    def _forward(self, values: dict[str, Any], tensors: Sequence[Tensor]) -> Reply:
        predictor, _ = self._predictor(values)
        with torch.set_grad_enabled(values["grad"]):
            return {}, [predictor(tensors[0])]

    def _alone(self, values: dict[str, Any], tensors: Sequence[Tensor]) -> Reply:
        predictor, _ = self._predictor(values)
        with torch.set_grad_enabled(values["grad"]):
            return {}, [predictor.alone(tensors[0])]

    def _forward_graph(self, values: dict[str, Any], tensors: Sequence[Tensor]) -> Reply:
        predictor, support_x = self._predictor(values)
        query = tensors[0].requires_grad_(values["query_grad"])
        with torch.enable_grad():
            outputs = predictor(query)
        if not outputs.requires_grad:
            return {"graph": None}, [outputs]
        number = self._next()
        self._sessions[-1].graphs[number] = [support_x, query], outputs
        return {"graph": number}, [outputs]

    def _backward(self, values: dict[str, Any], tensors: Sequence[Tensor]) -> Reply:
        inputs, outputs = self._sessions[-1].graphs.pop(values["graph"])
        wanted = [x for x in inputs if x.requires_grad]
        # An input that the outputs do not depend on has no gradient.
        gradients = iter(torch.autograd.grad(outputs, wanted, tensors[0], allow_unused=True))
        found = [next(gradients) if x.requires_grad else None for x in inputs]
        return {"used": [g is not None for g in found]}, [g for g in found if g is not None]

    def _path(self, values: dict[str, Any], tensors: Sequence[Tensor]) -> Reply:
        found = self._model.path(_support(values, tensors), tensors[2], values["steps"])
        return {"ms": found.ms, "predictors": found.predictors}, found.outputs

    def _divergent_step(self, values: dict[str, Any], tensors: Sequence[Tensor]) -> Reply:
        support = _support(values, tensors)
        step = self._model.first_divergent_step(support, tensors[2], values["index"])
        return {"step": step}, ()

    def _time(self, values: dict[str, Any], tensors: Sequence[Tensor]) -> Reply:
        return dataclasses.asdict(self._model.time_adaptation(_support(values, tensors))), ()

    def _cost(self, values: dict[str, Any], tensors: Sequence[Tensor]) -> Reply:
        return {"cost": self._model.cost(_support(values, tensors), tensors[2])}, ()

    def _predictor(self, values: dict[str, Any]) -> tuple[AdaptedPredictor, Tensor]:
        for session in reversed(self._sessions):
            if values["predictor"] in session.predictors:
                return session.predictors[values["predictor"]]
        raise KeyError("the predictor was used after its episode")

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers


def _support(values: dict[str, Any], tensors: Sequence[Tensor]) -> Support:
    x = tensors[0].requires_grad_(values["support_grad"])
    return Support(x, tensors[1], values["ways"], keep_graph=values["keep_graph"])
