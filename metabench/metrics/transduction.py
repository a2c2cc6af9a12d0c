"""Transduction: whether the queries of a task influence each other's predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from metabench.algorithms.base import Predictor
from metabench.episodes import TaskBatch
from metabench.errors import NotApplicable
from metabench.metrics.base import Measurement, Metric
from metabench.metrics.bounds import Count
from metabench.metrics.scoring import adaptable_batch_size, iter_episodes, score_episodes
from metabench.metrics.trial import BATCH_SIZE, Trial

TOLERANCE = 1e-3
"""Largest share of changed labels of an inductive method: float noise can break a near tie.

In regression, a value has changed if it differs by more than this share of the targets' standard
deviation.
"""


@dataclass(frozen=True)
class Transduction(Metric):
    r"""Score with all queries of a task predicted together minus the score with each alone.

    .. math:: s\big(f(x_1, \dots, x_Q)\big) - s\big(f(x_1), \dots, f(x_Q)\big)

    It is 0 for an inductive method. The value ``transductive`` is true if more than one label in a
    thousand (:data:`TOLERANCE`) depends on the other queries. A method that fails on a single
    query is transductive, and has no score.

    Args:
        episodes: Number of test episodes, from the first on.
    """

    name: ClassVar[str] = "transduction"
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = "score"

    episodes: Count = 40

    def measure(self, trial: Trial) -> Measurement:
        """Predict the queries together and one by one; see :class:`Metric`.

        Raises:
            NotApplicable: If predictions of the same queries differ when repeated.
        """
        together_scores, alone_scores, changed = [], [], []
        batch_size = adaptable_batch_size(trial, BATCH_SIZE)
        for indices, batch in iter_episodes(trial, self.episodes, batch_size=batch_size):
            with trial.isolated(int(indices[0])):
                predict = trial.adapted(batch.support)
                with torch.no_grad():
                    together = _predict_together(predict, batch)
                    # Batch norm in training mode, for example, raises an error on one value.
                    try:
                        alone = predict.alone(batch.query_x).float()
                    except torch.OutOfMemoryError:
                        raise
                    except (RuntimeError, ValueError) as error:
                        reason = f"it cannot predict a single query: {error}"
                        return Measurement(values={"transductive": True, "alone": {"n/a": reason}})
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


def _predict_together(predict: Predictor, batch: TaskBatch) -> Tensor:
    """Predict all queries of each task, twice.

    Raises:
        NotApplicable: If the two predictions differ, so that no influence can be told from chance.
    """
    first, second = predict(batch.query_x).float(), predict(batch.query_x).float()
    if float(_changed(first, second, batch.query_y).double().mean()) > TOLERANCE:
        raise NotApplicable("it predicts the same queries differently when it is asked twice.")
    return first


def _changed(a: Tensor, b: Tensor, targets: Tensor) -> Tensor:
    """Returns which predictions differ, bool, one per query."""
    if targets.is_floating_point():
        return ((a - b).abs() > TOLERANCE * targets.std()).any(-1).flatten()
    # Labels and not logits: the batch size changes the last bits of logits.
    return (a.argmax(-1) != b.argmax(-1)).flatten()
