"""The contract that every algorithm keeps."""

from __future__ import annotations

import inspect
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from metabench.algorithms.problem import Problem
from metabench.episodes import Support, TaskStream
from metabench.errors import UsageError
from metabench.utils.values import Value as Value

Predictor = Callable[[Tensor], Tensor]
"""Query inputs ``[Q, *input]`` to logits ``[Q, ways]``, or to values ``[Q, outputs]`` in regression."""


class Algorithm(nn.Module, ABC):
    """A meta-learning algorithm: something that can be meta-trained, and that adapts to a support set.

    It is a :class:`torch.nn.Module`, so its state, device, saving and loading are PyTorch's own. Its
    hyper-parameters are the keyword arguments of its ``__init__``, each with a type and a default::

        def __init__(self, problem: Problem, *, inner_lr: float = 0.4) -> None:
            super().__init__(problem)

    Attributes:
        name: what it is called on the command line.
        version: raised whenever its results change.
        library: the library that does its work, where that is not metabench.
        gradient_order: of the outer gradient through the inner loop: 2 where it flows through the inner
            gradients, 1 where they are constants to it, ``None`` without an inner loop in meta-training.
        transductive: whether queries that are predicted together see each other.
        differentiable: whether a gradient reaches the queries through the predictor.
        depends_on_label_order: whether it matters how the classes of an episode are numbered.

    The last four may be set on the class, or on the instance where hyper-parameters decide; ``metabench
    check`` measures each, and fails where it is not as it was said.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    library: ClassVar[str] = ""
    gradient_order: Literal[1, 2] | None = None
    transductive: bool = False
    differentiable: bool = True
    depends_on_label_order: bool = False

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem

    @classmethod
    def recipe(cls, problem: Problem) -> Mapping[str, Value]:
        """Hyper-parameters that the paper sets otherwise for this problem than the signature's defaults."""
        del problem
        return {}

    def meta_train(self, tasks: TaskStream) -> None:
        """Learn from training tasks until the stream ends. By default nothing is learned."""
        del tasks

    @abstractmethod
    def adapt(self, support: Support) -> Predictor:
        """Adapt to one support set.

        It never sees a query label, and sees query inputs only through the predictor that it returns. It
        leaves the algorithm as it was.

        Args:
            support: ``x`` float32 ``[S, *input]`` and ``y`` ``[S]``.

        Returns:
            The predictor, differentiable in its input where the method allows that.
        """

    def adapt_batch(self, support: Support) -> Predictor:
        """Adapt to ``T`` support sets at once, for speed; must agree with :meth:`adapt`.

        Args:
            support: ``x`` ``[T, S, *input]`` and ``y`` ``[T, S]``.

        Returns:
            A predictor from ``[T, Q, *input]`` to ``[T, Q, outputs]``.
        """
        raise NotImplementedError

    def adapt_path(self, support: Support, steps: int) -> Iterator[Predictor]:
        """The predictors after 0, 1, ..., ``steps`` inner steps, for the adaptation curve.

        The predictor of :meth:`adapt` is one of them, where ``steps`` is large enough.

        A method without inner steps leaves this alone.
        """
        raise NotImplementedError

    @classmethod
    def offers(cls, method: str) -> bool:
        """Whether the class has its own ``adapt_batch``, ``adapt_path`` or ``meta_train``."""
        return getattr(cls, method) is not getattr(Algorithm, method)


def hyperparameters(cls: type[Algorithm]) -> dict[str, inspect.Parameter]:
    """The hyper-parameters of an algorithm: the keyword-only arguments of its ``__init__``."""
    signature = inspect.signature(cls.__init__, eval_str=True)
    return {p.name: p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}


def resolve_hyperparameters(
    cls: type[Algorithm], problem: Problem, chosen: Mapping[str, Value | str]
) -> dict[str, Value]:
    """The values an algorithm will run with: what was chosen, else its recipe, else its defaults.

    Args:
        cls: the algorithm.
        problem: the problem, which the recipe may depend on.
        chosen: values by name; text is read as the hyper-parameter's type.

    Raises:
        UsageError: there is no such hyper-parameter, or the value is not of its type.
    """
    known = hyperparameters(cls)
    values: dict[str, Value] = {name: p.default for name, p in known.items()}
    values |= cls.recipe(problem)
    for name, value in chosen.items():
        if name not in known:
            raise UsageError(
                f"'{cls.name}' has no hyper-parameter '{name}'.",
                hint=f"It has {', '.join(known)}." if known else "It has none at all.",
            )
        values[name] = _read(cls.name, known[name], value)
    return values


def _read(algorithm: str, parameter: inspect.Parameter, value: Value | str) -> Value:
    """A value as the type that the signature gives."""
    wanted = parameter.annotation
    if typing.get_origin(wanted) is typing.Literal:
        return _one_of(algorithm, parameter, typing.get_args(wanted), value)
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        wanted = next(t for t in typing.get_args(wanted) if t is not type(None))
    try:
        return _convert(wanted, value)
    except ValueError:
        raise UsageError(
            f"{algorithm}.{parameter.name} = {value!r} is not of type {_type_name(wanted)}.",
            hint=f"Its default is {parameter.default!r}.",
        ) from None


def _one_of(
    algorithm: str, parameter: inspect.Parameter, options: tuple[Any, ...], value: Value
) -> Value:
    for option in options:
        if str(option) == str(value):
            chosen: Value = option
            return chosen
    raise UsageError(
        f"{algorithm}.{parameter.name} = {value!r} is not one of its values.",
        hint=f"It can be {', '.join(map(str, options))}.",
    )


def _convert(wanted: Any, value: Value) -> Value:
    if wanted is bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if str(value).lower() not in words:
            raise ValueError
        return words[str(value).lower()]
    if wanted is int and isinstance(value, float) and not value.is_integer():
        raise ValueError
    if wanted in (int, float, str):
        converted: Value = wanted(value)
        return converted
    return value


def _type_name(wanted: Any) -> str:
    return str(getattr(wanted, "__name__", wanted))
