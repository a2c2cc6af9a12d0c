"""The contract that every algorithm keeps."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, TypeVar, dataclass_transform

from torch import Tensor, nn

from metabench.algorithms.problem import Problem
from metabench.episodes import Support, TaskStream
from metabench.errors import UsageError
from metabench.utils.values import Value as Value

Predictor = Callable[[Tensor], Tensor]
"""Query inputs ``[Q, *input]`` to logits ``[Q, ways]``, or to values ``[Q, outputs]``."""

_T = TypeVar("_T", bound=nn.Module)

_FROM_FIELDS = "_metabench_from_fields"
"""Marks an ``__init__`` that :func:`hyperparameters` made."""


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(dataclasses.field,))
def hyperparameters(cls: type[_T]) -> type[_T]:
    """Make the annotated fields of an algorithm its hyper-parameters.

    The class becomes a dataclass whose ``__init__`` takes the problem and, as keyword arguments,
    the fields; modules are made in ``__post_init__``::

        @hyperparameters
        class Mine(Algorithm):
            name = "mine"

            lr: float = 1e-3  # learning rate of Adam

            def __post_init__(self) -> None:
                self.net = self.problem.backbone()

    An ``__init__`` written by hand with keyword arguments serves as well.
    """
    for base in cls.__mro__[: cls.__mro__.index(nn.Module)]:
        own = vars(base).get("__init__")
        if own is not None and _FROM_FIELDS not in vars(own):
            raise TypeError(
                f"{cls.__name__} cannot have fields as hyper-parameters: {base.__name__} has an "
                "__init__ of its own, which would not be called. Use __post_init__ in both."
            )
    # Modules compare and print as modules, not as tuples of their fields.
    made = dataclasses.dataclass(kw_only=True, eq=False, repr=False)(cls)
    set_fields = made.__init__

    @functools.wraps(set_fields)
    def init(self: nn.Module, *args: Any, **values: Any) -> None:
        nn.Module.__init__(self)  # before any attribute is set
        set_fields(self, *args, **values)

    setattr(init, _FROM_FIELDS, True)
    made.__init__ = init  # type: ignore[method-assign]
    return made


@hyperparameters
class Algorithm(nn.Module, ABC):
    """A meta-learning algorithm: it can be meta-trained, and adapts to a support set.

    State, device, saving and loading are those of :class:`torch.nn.Module`. Hyper-parameters are
    the keyword arguments of ``__init__``, each with a type and a default: fields of a class that
    is decorated with :func:`hyperparameters`, or written by hand::

        def __init__(self, problem: Problem, *, inner_lr: float = 0.4) -> None:
            super().__init__(problem)

    Attributes:
        name: The name on the command line.
        version: Raised whenever results change.
        library: The library that does the work, if that is not metabench.
        pretrained_on: What the weights that it starts from have seen, such as ``ImageNet-1k``;
            empty if they are random. Records state it.
        problem: The problem that the algorithm is made for.
        gradient_order: Order of the outer gradient through the inner loop: 2 if it flows through
            the inner gradients, 1 if they are constants, ``None`` without an inner loop.
        transductive: Whether predictions depend on the other queries.
        differentiable: Whether the predictor is differentiable in the queries.
        depends_on_label_order: Whether predictions depend on how classes are numbered.

    The last four may be set on the class or the instance; ``metabench check`` measures them.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    library: ClassVar[str] = ""
    pretrained_on: ClassVar[str] = ""

    problem: Problem = dataclasses.field(kw_only=False)
    gradient_order: Literal[1, 2] | None = dataclasses.field(default=None, init=False)
    transductive: bool = dataclasses.field(default=False, init=False)
    differentiable: bool = dataclasses.field(default=True, init=False)
    depends_on_label_order: bool = dataclasses.field(default=False, init=False)

    @classmethod
    def recipe(cls, problem: Problem) -> Mapping[str, Value]:
        """Returns hyper-parameters that depend on the problem in a way that no recipe file can say.

        Entries of recipe files override them.

        Args:
            problem: The problem, with the budget of its benchmark.
        """
        del problem
        return {}

    def meta_train(self, tasks: TaskStream) -> None:
        """Learn from training tasks until the stream ends. By default nothing is learned."""
        del tasks

    @abstractmethod
    def adapt(self, support: Support) -> Predictor:
        """Adapt to one support set, and leave the algorithm itself unchanged.

        Query labels are never seen, and query inputs only by the returned predictor.

        Args:
            support: ``x`` float32 ``[S, *input]`` and ``y`` ``[S]``.

        Returns:
            The predictor, differentiable in its input if the method allows it.
        """

    def adapt_batch(self, support: Support) -> Predictor:
        """Adapt to ``T`` support sets at once. Optional, for speed; agrees with :meth:`adapt`.

        Args:
            support: ``x`` ``[T, S, *input]`` and ``y`` ``[T, S]``.

        Returns:
            A predictor from ``[T, Q, *input]`` to ``[T, Q, outputs]``.
        """
        raise NotImplementedError

    def adapt_path(self, support: Support, steps: int) -> Iterator[Predictor]:
        """Yield predictors after 0, 1, ..., ``steps`` inner steps, for the adaptation curve.

        Optional: methods without inner steps do not have it. The predictor of :meth:`adapt` is
        among them if ``steps`` is large enough.

        Args:
            support: ``x`` ``[S, *input]`` and ``y`` ``[S]``.
            steps: The number of inner steps.
        """
        raise NotImplementedError

    @classmethod
    def offers(cls, method: str) -> bool:
        """Returns whether the class defines ``adapt_batch``, ``adapt_path`` or ``meta_train``."""
        return getattr(cls, method) is not getattr(Algorithm, method)


def parameters_of(cls: type[Algorithm]) -> dict[str, inspect.Parameter]:
    """Returns the hyper-parameters: the keyword-only arguments of ``__init__``, types resolved."""
    if _FROM_FIELDS not in vars(cls.__init__):
        signature = inspect.signature(cls.__init__, eval_str=True)
        return {p.name: p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}
    fields = (f for f in dataclasses.fields(cls) if f.init and f.kw_only)
    return {
        f.name: inspect.Parameter(
            f.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if f.default is dataclasses.MISSING else f.default,
            annotation=_field_type(cls, f),
        )
        for f in fields
    }


def _field_type(cls: type[Algorithm], field: dataclasses.Field[Any]) -> Any:
    """Returns the type of a field; text is evaluated where the class that declares it stands."""
    if not isinstance(field.type, str):
        return field.type
    home = next(base for base in cls.__mro__ if field.name in vars(base).get("__annotations__", ()))
    return eval(field.type, vars(sys.modules[home.__module__]))


def resolve_hyperparameters(
    cls: type[Algorithm],
    chosen: Mapping[str, Value | str],
    recipe: Mapping[str, Value] | None = None,
) -> dict[str, Value]:
    """Returns the values that an algorithm runs with: chosen, else the recipe's, else the defaults.

    Args:
        cls: The algorithm.
        chosen: Values by name; text is read as the hyper-parameter's type.
        recipe: The values of its recipe, as :func:`metabench.recipes.hyperparameters.recipe_for`
            returns them: converted to their types.

    Raises:
        UsageError: If there is no such hyper-parameter, or a chosen value is not of its type.
    """
    known = parameters_of(cls)
    values: dict[str, Value] = {name: p.default for name, p in known.items()}
    values |= recipe or {}
    for name, value in chosen.items():
        if name not in known:
            raise UsageError(
                f"'{cls.name}' has no hyper-parameter '{name}'.",
                hint=f"It has {', '.join(known)}, and as every algorithm 'budget'."
                if known
                else "It has 'budget' alone, as every algorithm.",
            )
        values[name] = convert_value(f"{cls.name}.{name}", known[name], value)
    return values


def convert_value(
    name: str, parameter: inspect.Parameter, value: Any, *, text: bool = True
) -> Value:
    """Convert a value to the type that the signature gives.

    Args:
        name: What the value is called in the error.
        parameter: The hyper-parameter.
        value: A scalar of Python or NumPy.
        text: Whether the value may be the text of another type, as on the command line.

    Raises:
        UsageError: If the value is not of this type.
    """
    wanted = parameter.annotation
    options = typing.get_args(wanted) if typing.get_origin(wanted) is typing.Literal else ()
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        wanted = next(t for t in typing.get_args(wanted) if t is not type(None))
    try:
        if options:
            return _choose(options, value, text=text)
        return _convert(wanted, value) if text else _convert_exactly(wanted, value)
    # TypeError: None and containers from Python; OverflowError: an infinite number as an int.
    except (ValueError, TypeError, OverflowError):
        problem = "one of its values" if options else f"of type {_type_name(wanted)}"
        right = f"It can be {', '.join(map(str, options))}." if options else ""
        raise UsageError(
            f"{name} = {value!r} is not {problem}.",
            hint=right or f"Its default is {parameter.default!r}.",
        ) from None


def _choose(options: tuple[Any, ...], value: Any, *, text: bool) -> Value:
    for option in options:
        if option == value or (text and str(option) == str(value)):
            chosen: Value = option
            return chosen
    raise ValueError


_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _convert(wanted: Any, value: Any) -> Value:
    if wanted is bool:
        if str(value).lower() not in _WORDS:
            raise ValueError
        return _WORDS[str(value).lower()]
    # bool is a subclass of int, and `steps = true` is a mistake.
    if wanted in (int, float) and isinstance(value, bool):
        raise TypeError
    if wanted is int and isinstance(value, float) and not value.is_integer():
        raise ValueError
    if value is None or (wanted is str and isinstance(value, (list, tuple, dict))):
        raise TypeError
    if wanted in (int, float, str):
        converted: Value = wanted(value)
        return converted
    scalar: Value = value
    return scalar


def _convert_exactly(wanted: Any, value: Any) -> Value:
    """Convert a value that has the right type already, but for a whole number as a float."""
    kinds = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}
    if wanted in kinds and type(value) not in kinds[wanted]:
        raise TypeError
    return _convert(wanted, value)


def _type_name(wanted: Any) -> str:
    return str(getattr(wanted, "__name__", wanted))
