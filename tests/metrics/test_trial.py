"""A prediction that is not finite is reported with its episode and inner step."""

import math
from collections.abc import Iterator
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm, Predictor
from metabench.episodes import Support
from metabench.errors import DivergedError
from tests.helpers.small_trials import image_trial


class InOnePass(Algorithm):
    """Predicts NaN."""

    name: ClassVar[str] = "in-one-pass"

    def adapt(self, support: Support) -> Predictor:
        return lambda query: torch.full((len(query), support.ways), math.nan)


class Exploding(Algorithm):
    """Diverges at some inner step in episodes whose first image is dim."""

    name: ClassVar[str] = "exploding"
    EXPLODES: ClassVar[int] = 3
    TAKES: ClassVar[int] = 5

    def adapt(self, support: Support) -> Predictor:
        return list(self.adapt_path(support, self.TAKES))[-1]

    def adapt_path(self, support: Support, steps: int) -> Iterator[Predictor]:
        for step in range(steps + 1):
            yield lambda query, step=step: self._outputs(support, query, step)

    def _outputs(self, support: Support, query: Tensor, step: int) -> Tensor:
        bad = step >= self.EXPLODES and is_dim(support.x)
        return torch.full((len(query), support.ways), math.nan if bad else float(step))


def is_dim(support_x: Tensor) -> bool:
    return bool(support_x[0].mean() < 0.5)


def test_the_message_has_the_episode_and_the_inner_step() -> None:
    trial = image_trial(Exploding)
    dim = [is_dim(task.support.x) for batch in trial.batches() for task in batch]
    assert 0 < dim.index(True) < len(dim) - 1
    with pytest.raises(DivergedError) as caught:
        trial.predictions()
    where = f"in episode {dim.index(True)}, after inner step 3."
    assert caught.value.message == f"'exploding' gave a prediction that is not finite {where}"
    assert "smaller inner learning rate" in caught.value.hint


def test_divergence_before_the_first_inner_step_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Exploding, "EXPLODES", 0)
    with pytest.raises(DivergedError, match=r"in episode \d+, before the first inner step\."):
        image_trial(Exploding).predictions()


def test_divergence_that_adapt_path_does_not_show_has_no_inner_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Exploding, "adapt", InOnePass.adapt)
    monkeypatch.setattr(Exploding, "EXPLODES", 10_000)
    with pytest.raises(DivergedError, match=r"not finite in episode 0\."):
        image_trial(Exploding).predictions()


def test_without_adapt_path_the_message_has_the_episode_alone() -> None:
    with pytest.raises(DivergedError, match=r"not finite in episode 0\."):
        image_trial(InOnePass).predictions()
