"""Shapes and types of predictions."""

from __future__ import annotations

import torch
from torch import Tensor

from metabench.testing.check import Check, CheckFailed
from metabench.testing.subject import Subject


def shapes(subject: Subject) -> None:
    """It adapts to a support set and predicts finite ``[Q, outputs]`` for any number of queries."""
    outputs = subject.problem.outputs
    task = subject.task
    predictor = subject.trained().adapt(task.support)
    if not callable(predictor):
        raise CheckFailed(
            f"adapt returned {type(predictor).__name__}, which cannot be called with queries."
        )
    # A second size finds predictors that rely on the number of queries in training.
    for query in (task.query_x, task.query_x[:2]):
        with torch.no_grad():
            _check(predictor(query), (len(query), outputs), query, "the predictor of adapt")
    if subject.cls.offers("adapt_batch"):
        batch = subject.episodes
        predict_batch = subject.trained().adapt_batch(batch.support)
        with torch.no_grad():
            expected = (*batch.query_x.shape[:2], outputs)
            predictions = predict_batch(batch.query_x)
            _check(predictions, expected, batch.query_x, "the predictor of adapt_batch")


def _check(found: object, shape: tuple[int, ...], query: Tensor, what: str) -> None:
    if not isinstance(found, Tensor):
        raise CheckFailed(f"{what} returned {type(found).__name__} and not a tensor.")
    if tuple(found.shape) != shape:
        raise CheckFailed(f"{what} returned the shape {tuple(found.shape)} and not {shape}.")
    if not found.is_floating_point():
        raise CheckFailed(f"{what} returned {found.dtype} and not floating-point numbers.")
    if found.device != query.device:
        raise CheckFailed(
            f"{what} returned a tensor on {found.device} for queries on {query.device}."
        )
    if not bool(found.isfinite().all()):
        raise CheckFailed(f"{what} returned numbers that are not finite.")


CHECKS = (Check.of(shapes, precision="single"),)
