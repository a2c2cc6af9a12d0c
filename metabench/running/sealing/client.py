"""The scorer's model: an algorithm that answers from another process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from metabench.algorithms.problem import Problem
from metabench.episodes import Support
from metabench.errors import CellFailed
from metabench.metrics.model import AdaptedPredictor, Model, QueryPredictions, StepPath
from metabench.running.sealing.channel import Channel, MalformedMessage, Message
from metabench.running.sealing.remote_errors import rebuild
from metabench.runtime.counter_rng import make_key
from metabench.runtime.exclusive import timing_lock
from metabench.runtime.rng_state import seed_everything
from metabench.runtime.timing import Timing


class RemoteModel(Model):
    """A trained algorithm in another process; see :class:`metabench.metrics.model.Model`.

    Args:
        channel: The channel to :func:`metabench.running.sealing.service.serve`.
        problem: What the algorithm was made for.
        declared: What the algorithm declares: ``name``, ``transductive`` and the optional methods
            that it ``offers``.
    """

    def __init__(self, channel: Channel, problem: Problem, declared: dict[str, Any]) -> None:
        self._channel = channel
        self.problem = problem
        self.name = str(declared["name"])
        self.transductive = bool(declared["transductive"])
        self.leaked_state = set()
        self._offers = set(map(str, declared["offers"]))

    def offers(self, method: Literal["adapt_batch", "adapt_path"]) -> bool:
        """See :class:`Model`."""
        return method in self._offers

    def predict(self, support: Support, query: Tensor, start: int) -> Tensor:
        """See :class:`Model`."""
        reply = self.ask(
            "predict", {**_described(support), "start": start}, support.x, support.y, query
        )
        return _floats(reply, 0)

    def predict_both(
        self, support: Support, query: Tensor, positions: Tensor, start: int
    ) -> QueryPredictions:
        """See :class:`Model`."""
        values = {**_described(support), "start": start}
        reply = self.ask("predict-both", values, support.x, support.y, query, positions)
        if len(reply.tensors) > 1:
            return QueryPredictions(_floats(reply, 0), _floats(reply, 1))
        return QueryPredictions(_floats(reply, 0), None, str(reply.values.get("error")))

    @contextlib.contextmanager
    def isolated(self, start: int = 0) -> Iterator[None]:
        """See :class:`Model`."""
        seed_everything(make_key("adapt", start))  # here too: a metric may draw random numbers
        self.ask("enter", {"start": start})
        try:
            yield
        finally:
            self.leaked_state.update(map(str, self.ask("exit").values.get("leaked", ())))

    def adapted(self, support: Support) -> AdaptedPredictor:
        """See :class:`Model`."""
        values = {**_described(support), "grad": torch.is_grad_enabled()}
        reply = self.ask("adapt", values, support.x, support.y)
        return _RemotePredictor(self, reply.values.get("predictor"), support.x)

    def path(self, support: Support, query: Tensor, steps: Sequence[int]) -> StepPath:
        """See :class:`Model`."""
        values = {**_described(support), "steps": list(steps)}
        reply = self.ask("path", values, support.x, support.y, query)
        outputs = [_floats(reply, i) for i in range(len(reply.tensors))]
        ms = [float(value) for value in reply.values["ms"]]
        return StepPath(outputs, ms, int(reply.values["predictors"]))

    def first_divergent_step(self, support: Support, query: Tensor, index: int) -> int | None:
        """See :class:`Model`."""
        values = {**_described(support), "index": index}
        step = self.ask("divergent-step", values, support.x, support.y, query).values["step"]
        return None if step is None else int(step)

    def time_adaptation(self, support: Support) -> Timing:
        """See :class:`Model`."""
        values = self.ask("time", _described(support), support.x, support.y).values
        return Timing(
            float(values["median_ms"]),
            float(values["iqr_ms"]),
            int(values["repeats"]),
            bool(values["exclusive"]),
        )

    def cost(self, support: Support, query: Tensor) -> dict[str, Any]:
        """See :class:`Model`."""
        values = self.ask("cost", _described(support), support.x, support.y, query).values
        return dict(values["cost"])

    def ask(self, kind: str, values: dict[str, Any] | None = None, *tensors: Tensor) -> Message:
        """Send a request and return its reply, on the device of the request's tensors.

        Raises:
            CellFailed: If the reply is not of the expected form.
            Exception: What the algorithm raised.
        """
        # While the worker computes, this process waits: it must not keep the worker, or another
        # cell, from timing something alone.
        with timing_lock.released():
            self._channel.send(kind, values, *tensors)
            try:
                reply = self._channel.receive()
            except MalformedMessage as error:
                raise CellFailed(f"the process of the algorithm sent nonsense: {error}.") from error
        if reply.kind == "error":
            raise rebuild(reply.values)
        if reply.kind != "reply":
            raise CellFailed(f"the process of the algorithm answered with '{reply.kind}'.")
        device = tensors[0].device if tensors else torch.device("cpu")
        return replace(reply, tensors=[tensor.to(device) for tensor in reply.tensors])


@dataclass(frozen=True, eq=False)
class _RemotePredictor:
    """A predictor in the other process; see :class:`AdaptedPredictor`.

    Args:
        model: The model.
        number: The number of the predictor.
        support_x: The support inputs that it was adapted to.
    """

    model: RemoteModel
    number: Any
    support_x: Tensor

    def __call__(self, query: Tensor) -> Tensor:
        wants = query.requires_grad or self.support_x.requires_grad
        if torch.is_grad_enabled() and wants:
            outputs: Tensor = _Forward.apply(  # type: ignore[no-untyped-call]
                self.model, self.number, self.support_x, query
            )
            return outputs
        values = {"predictor": self.number, "grad": torch.is_grad_enabled()}
        return _tensor(self.model.ask("forward", values, query), 0)

    def alone(self, query: Tensor) -> Tensor:
        values = {"predictor": self.number, "grad": torch.is_grad_enabled()}
        return _tensor(self.model.ask("alone", values, query), 0)


class _Forward(torch.autograd.Function):
    """Predict in the other process, and send the gradient by the outputs back there."""

    @staticmethod
    def forward(
        ctx: Any, model: RemoteModel, number: Any, support_x: Tensor, query: Tensor
    ) -> Tensor:
        values = {"predictor": number, "query_grad": query.requires_grad}
        reply = model.ask("forward-graph", values, query)
        ctx.ask, ctx.graph = model.ask, reply.values.get("graph")
        ctx.shapes = support_x.shape, query.shape
        outputs = _tensor(reply, 0)
        if ctx.graph is None:  # no graph reaches the outputs
            ctx.mark_non_differentiable(outputs)
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        reply = ctx.ask("backward", {"graph": ctx.graph}, gradient)
        found = iter(range(len(reply.tensors)))
        by_input: list[Tensor | None] = []
        for shape, used in zip(ctx.shapes, reply.values["used"], strict=True):
            by_input.append(_tensor(reply, next(found)) if used else None)
            if used and by_input[-1] is not None and by_input[-1].shape != shape:
                raise CellFailed("the process of the algorithm sent a gradient of another shape.")
        return (None, None, *by_input)


def _described(support: Support) -> dict[str, Any]:
    return {
        "ways": support.ways,
        "keep_graph": support.keep_graph,
        "support_grad": support.x.requires_grad,
    }


def _tensor(reply: Message, index: int) -> Tensor:
    if index >= len(reply.tensors) or not reply.tensors[index].is_floating_point():
        raise CellFailed("the process of the algorithm sent no predictions.")
    return reply.tensors[index]


def _floats(reply: Message, index: int) -> Tensor:
    return _tensor(reply, index).to(torch.float32)
