"""Meta-training of a cell: constructs the algorithm, trains it, and returns it as a model."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metabench.metrics.local_model import LocalModel
from metabench.metrics.trial import Trial
from metabench.records.schema import Record
from metabench.running.code_digest import code_of
from metabench.running.resolve import ResolvedCell
from metabench.running.trainer import Trainer
from metabench.runtime.counter_rng import make_key
from metabench.runtime.rng_state import seed_everything
from metabench.utils.text import counted


def train(
    resolved: ResolvedCell,
    record: Record,
    checkpoint: Path | None,
    report: Callable[[dict[str, Any]], None],
) -> LocalModel:
    """Meta-train the algorithm of a cell. Returns it in evaluation mode.

    Args:
        resolved: The cell.
        record: Its record, which gets the code and the training, also of one that fails.
        checkpoint: The file of the checkpoint; ``None`` for none.
        report: Called with each event.

    Raises:
        CellFailed: If the first metric does not score single episodes.
        DivergedError: If a loss or a validation score is not finite.
    """
    tasks, cell = resolved.tasks, resolved.cell
    # Here and not earlier: what loading plugins and data sets draws must not change a parameter.
    # The public benchmark: a salt changes the test episodes and not the training.
    seed_everything(make_key("cell", cell.benchmark.public.title, cell.seed))
    algorithm = resolved.make_algorithm()
    record.code = code_of(algorithm)
    ranking = resolved.metrics[0].make_ranking()

    def validate() -> float:
        episodes = tasks.benchmark.validation_episodes
        trial = Trial(algorithm, tasks.held_out("validation"), episodes)
        scores = ranking.scores(trial.predictions())
        return math.fsum(scores) / len(scores)

    trainer = Trainer(
        algorithm,
        tasks,
        budget=resolved.budget,
        validate=validate,
        direction=ranking.direction,
        key=resolved.training_key,
        checkpoint=checkpoint,
        report=lambda done, score: report(
            {"phase": "train", "done": done, "total": resolved.budget, "score": score}
        ),
    )
    try:
        trainer.run()
    finally:  # a training that diverges keeps its learning curve in the record
        record.training = trainer.training
    note_empty_training(record, resolved.budget)
    algorithm.eval()
    return LocalModel(algorithm)


def note_empty_training(record: Record, budget: int) -> None:
    """Note in the record if meta-training ran and drew nothing."""
    # An algorithm without meta-training has no curve.
    if record.training.curve and not record.training.examples:
        record.notes.append(
            "meta-training drew nothing: an outer step exceeds the budget, "
            f"{counted(budget, 'example')}"
        )
