"""Whether an algorithm can be made as its signature says, and trained."""

from __future__ import annotations

import inspect

import torch
from torch import nn

from metabench.algorithms.base import Algorithm, parameters_of, resolve_hyperparameters
from metabench.testing.check import Check, CheckFailed
from metabench.testing.subject import BUDGET, Subject


def constructs(subject: Subject) -> None:
    """Its hyper-parameters are keyword arguments with types and defaults, and it can be made with them."""
    known = parameters_of(subject.cls)
    for name, parameter in known.items():
        if parameter.default is parameter.empty:
            raise CheckFailed(f"hyper-parameter '{name}' has no default.")
        if parameter.annotation is parameter.empty:
            raise CheckFailed(
                f"hyper-parameter '{name}' has no type, as `{name}: float = ...` has."
            )
        if not isinstance(parameter.default, (bool, int, float, str)):
            raise CheckFailed(
                f"hyper-parameter '{name}' has the default {parameter.default!r}; "
                "it must be a bool, int, float or str."
            )
    others = [
        p.name
        for p in list(inspect.signature(subject.cls.__init__).parameters.values())[2:]
        if p.kind is not p.KEYWORD_ONLY
    ]
    if others:
        raise CheckFailed(
            f"'{others[0]}' is no hyper-parameter, because it does not stand behind the `*`."
        )
    unknown = [
        name for name in subject.cls.recipe(subject.problem) if name not in known and name != BUDGET
    ]
    if unknown:
        raise CheckFailed(f"its recipe sets '{unknown[0]}', which is no hyper-parameter.")
    values = subject.values
    as_text = {name: str(value) for name, value in values.items()}
    again = resolve_hyperparameters(subject.cls, as_text)
    for name, value in values.items():
        if again[name] != value:
            raise CheckFailed(
                f"{name} = {value!r} is read as {again[name]!r} from the command line."
            )
    algorithm = subject.new()
    if (
        not isinstance(algorithm, nn.Module)
        or getattr(algorithm, "problem", None) is not subject.problem
    ):
        raise CheckFailed(
            "its `problem` is not the one it was given: call super().__init__(problem)."
        )


def meta_trains(subject: Subject) -> None:
    """It learns from the stream it is given until that ends, and stays finite."""
    subject.require("meta_train")
    algorithm = subject.new()
    stream = subject.train(algorithm)
    if not stream.spent:
        raise CheckFailed("meta_train took nothing from the stream.")
    _check_finite(algorithm)


def _check_finite(algorithm: Algorithm) -> None:
    for name, tensor in algorithm.state_dict().items():
        if isinstance(tensor, torch.Tensor) and not bool(tensor.isfinite().all()):
            raise CheckFailed(f"after two outer steps '{name}' is not finite.")


CHECKS = (Check.of(constructs, precision="single"), Check.of(meta_trains, precision="single"))
