"""Construction by the signature, and meta-training."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import torch
from torch import nn

from metabench.algorithms.base import Algorithm, parameters_of, resolve_hyperparameters
from metabench.testing.check import Check, CheckFailed
from metabench.testing.subject import Subject


def constructs(subject: Subject) -> None:
    """It can be constructed, and its hyper-parameters have keywords, types and defaults."""
    known = parameters_of(subject.cls)
    _check_parameters(known)
    _check_keyword_only(subject.cls)
    recipe = subject.cls.recipe(subject.problem)
    unknown = [name for name in recipe if name not in known]
    if unknown:
        raise CheckFailed(f"its recipe sets '{unknown[0]}', which is not a hyper-parameter.")
    _check_round_trip(subject)
    algorithm = subject.new()
    problem = getattr(algorithm, "problem", None)
    if not isinstance(algorithm, nn.Module) or problem is not subject.problem:
        raise CheckFailed("its `problem` is not the given one: call super().__init__(problem).")


def _check_parameters(known: Mapping[str, inspect.Parameter]) -> None:
    for name, parameter in known.items():
        if parameter.default is parameter.empty:
            raise CheckFailed(f"hyper-parameter '{name}' has no default.")
        if parameter.annotation is parameter.empty:
            raise CheckFailed(
                f"hyper-parameter '{name}' has no type; annotate it, as in `{name}: float = ...`."
            )
        if not isinstance(parameter.default, (bool, int, float, str)):
            raise CheckFailed(
                f"hyper-parameter '{name}' has the default {parameter.default!r}; "
                "it must be a bool, int, float or str."
            )


def _check_keyword_only(cls: type[Algorithm]) -> None:
    # The first two parameters are `self` and `problem`.
    for parameter in list(inspect.signature(cls.__init__).parameters.values())[2:]:
        if parameter.kind is not parameter.KEYWORD_ONLY:
            raise CheckFailed(
                f"'{parameter.name}' is not a hyper-parameter, because it is not keyword-only: put "
                "it after `*`."
            )


def _check_round_trip(subject: Subject) -> None:
    """Check that values given as text, as on the command line, are read as themselves."""
    values = subject.values
    # Hyper-parameters come as text from the command line and as values from recipes.
    as_text = {name: str(value) for name, value in values.items()}
    parsed = resolve_hyperparameters(subject.cls, as_text)
    for name, value in values.items():
        if parsed[name] != value:
            raise CheckFailed(
                f"{name} = {value!r} is read as {parsed[name]!r} from the command line."
            )


def meta_trains(subject: Subject) -> None:
    """It trains on the stream until the stream ends, and its state stays finite."""
    subject.require("meta_train")
    algorithm = subject.new()
    stream = subject.train(algorithm)
    if not stream.spent:
        raise CheckFailed("meta_train drew no tasks from the stream.")
    _check_finite(algorithm)


def _check_finite(algorithm: Algorithm) -> None:
    for name, tensor in algorithm.state_dict().items():
        if isinstance(tensor, torch.Tensor) and not bool(tensor.isfinite().all()):
            raise CheckFailed(f"after two outer steps '{name}' is not finite.")


CHECKS = (Check.of(constructs, precision="single"), Check.of(meta_trains, precision="single"))
