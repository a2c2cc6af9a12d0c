"""Whether the queries of a task help each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from metabench.errors import NotApplicable
from metabench.metrics.base import Measurement, Metric
from metabench.metrics.scoring import at_once, first, score_episodes
from metabench.metrics.trial import BATCH, Trial

TOLERANCE = 1e-3
"""A method is inductive where at most this share of its labels changes: float noise can turn a near tie.

In regression a value changes where it moves by more than this share of the targets' standard deviation.
"""


@dataclass(frozen=True)
class Transduction(Metric):
    r"""The score with all queries of a task predicted together, minus that with each predicted alone.

    .. math:: s\big(f(x_1, \dots, x_Q)\big) - s\big(f(x_1), \dots, f(x_Q)\big)

    It is 0 for an inductive method. ``transductive`` says whether more than one label in a thousand
    (:data:`TOLERANCE`) depends on the other queries; labels and not logits are compared, because logits
    differ in their last bits with the size of a batch. A method that fails on a lone query needs the others:
    transductive, without a score.

    Args:
        episodes: the first so many test episodes.
    """

    name: ClassVar[str] = "transduction"
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = "score"

    episodes: int = 40

    def measure(self, trial: Trial) -> Measurement:
        """See :class:`Metric`."""
        together_scores, alone_scores, changed = [], [], []
        for indices, batch in first(trial, self.episodes, batch=at_once(trial, BATCH)):
            with trial.isolated(int(indices[0])):
                predict = trial.adapted(batch.support)
                with torch.no_grad():
                    together, again = predict(batch.query_x).float(), predict(batch.query_x).float()
                    if float(_changed(together, again, batch.query_y).double().mean()) > TOLERANCE:
                        raise NotApplicable(
                            "it predicts the same queries differently when it is asked twice."
                        )
                    try:
                        lone = [predict(query).float() for query in batch.query_x.split(1, dim=1)]
                    except torch.OutOfMemoryError:
                        raise
                    except (RuntimeError, ValueError) as error:
                        reason = f"it cannot predict a lone query: {error}"
                        return Measurement(values={"transductive": True, "alone": {"n/a": reason}})
            alone = torch.cat(lone, dim=1)
            together_scores.append(score_episodes(together, batch.query_y))
            alone_scores.append(score_episodes(alone, batch.query_y))
            changed.append(_changed(together, alone, batch.query_y))
        difference = torch.cat(together_scores) - torch.cat(alone_scores)
        share = float(torch.cat(changed).double().mean())
        values: dict[str, Any] = {
            "episodes": len(difference),
            "transductive": share > TOLERANCE,
            "together": float(torch.cat(together_scores).mean()),
            "alone": float(torch.cat(alone_scores).mean()),
            "changed": share,
        }
        return Measurement(difference.tolist(), values)


def _changed(together: Tensor, alone: Tensor, targets: Tensor) -> Tensor:
    """Which predictions depend on the other queries, bool, one for each query."""
    if targets.is_floating_point():
        return ((together - alone).abs() > TOLERANCE * targets.std()).any(-1).flatten()
    return (together.argmax(-1) != alone.argmax(-1)).flatten()
