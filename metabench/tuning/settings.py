"""The settings of a study, which ``metabench tune`` has as options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from metabench.config import Option, Resources


@dataclass(frozen=True, kw_only=True)
class StudySettings(Resources):
    """How a study is run. Every algorithm has the same number of trials."""

    algorithm: Annotated[
        tuple[str, ...], Option("Tune these algorithms; repeatable.", "GLOB", "-a")
    ] = ()
    benchmark: Annotated[
        tuple[str, ...], Option("Tune on these benchmarks; repeatable.", "GLOB", "-b")
    ] = ()
    suite: Annotated[
        str, Option("A suite, or the path of its .toml file; `core` unless -b is given.", "NAME")
    ] = ""
    trials: Annotated[
        int, Option("Trials of each algorithm; the first is the default recipe.", ge=2)
    ] = 16
    fraction: Annotated[float, Option("The part of the budget that a trial has.", gt=0)] = 0.1
    episodes: Annotated[int, Option("Meta-validation episodes that score a trial.", ge=2)] = 100
    seed: Annotated[int, Option("The seed of the study and of its cells.", ge=0)] = 0
    results: Annotated[Path, Option("The folder of the trials' records.")] = Path("tuning")
