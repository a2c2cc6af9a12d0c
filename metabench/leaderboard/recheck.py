"""Run one stored cell again for each change of an algorithm's code, and compare the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from metabench.config import validate
from metabench.executors.guard import guarded
from metabench.leaderboard.codes import CODES, Recheck, add_recheck
from metabench.leaderboard.installed import cell_of
from metabench.records.schema import CurvePoint, Record, now
from metabench.registry import Registry
from metabench.running.job import Job, Terms
from metabench.running.run_cell import Conditions
from metabench.running.sealing.providers import providers_of
from metabench.runtime.provenance import machine_of


@dataclass(frozen=True)
class Result:
    """The result of a recheck.

    Attributes:
        agrees: Whether the numbers are the same to the bit.
        text: What was found, as a sentence.
    """

    agrees: bool
    text: str


def cheapest(other_code: Iterable[tuple[Record, str]]) -> list[tuple[Record, str]]:
    """Returns the record of the shortest training for each change of code, in that order.

    Args:
        other_code: Records, each with the code that is installed for it now.
    """
    chosen: dict[tuple[str, ...], tuple[Record, str]] = {}
    for record, code in sorted(other_code, key=lambda pair: pair[0].training.seconds):
        was = record.algorithm
        # An algorithm has a code for each network, so one cell is run for each of them.
        chosen.setdefault((was.name, was.version, record.code, code), (record, code))
    return list(chosen.values())


def recheck(
    other_code: Iterable[tuple[Record, str]],
    registry: Registry,
    folder: Path,
    *,
    data: Path | None = None,
    on_start: Callable[[str], None] = lambda text: None,
) -> Iterator[Result]:
    """Run the cheapest cell of each change again. One that agrees is added to ``code.csv``.

    Args:
        other_code: Records, each with the code that is installed for it now.
        registry: What is installed.
        folder: The folder of the leaderboard.
        data: The folder with one folder for each data set.
        on_start: Called with a sentence before each run.
    """
    for record, code in cheapest(other_code):
        on_start(f"running {record.file_name} again: about {record.training.seconds:.0f} s")
        again = run_again(record, registry, data)
        difference = first_difference(record, again, code)
        if difference:
            yield Result(False, f"{record.file_name}: {difference}; {CODES} is unchanged for it")
            continue
        was = record.algorithm
        add_recheck(
            folder, Recheck(now(), was.name, was.version, record.code, code, record.file_name)
        )
        scores = f"{len(again.metrics[again.metric].episodes)} scores and its learning curve"
        yield Result(True, f"{record.file_name}: the same {scores}; added to {CODES}")


def run_again(record: Record, registry: Registry, data: Path | None) -> Record:
    """Run the cell of a record with its device, threads and precision, without further metrics.

    Args:
        record: The record.
        registry: What is installed.
        data: The folder with one folder for each data set.
    """
    cell, was = cell_of(record), record.environment
    conditions = validate(
        Conditions,
        {
            "device": was.get("device") or "cpu",
            "threads": was.get("threads") or 1,
            "precision": was.get("precision") or "highest",
            "data": data,
        },
    )
    job = Job(cell, record.key, conditions, providers_of(cell, registry))
    (again,) = guarded(registry, "processes")(Terms(registry=registry, jobs=1)).run([job])
    return again


def first_difference(record: Record, again: Record, code: str) -> str:
    """Returns how a cell that was run again differs from its record; nothing if it does not.

    Scores and learning curves are compared exactly: a training amplifies a different last digit.

    Args:
        record: The record.
        again: That of the new run.
        code: The code that the new run should state.
    """
    if again.status != "ok":
        return f"the new run ended as {again.status}: {again.reason}"
    if again.key != record.key or again.episode_digest != record.episode_digest:
        return "the data set or the test episodes are not those of the record"
    if again.code != code:
        return "the installed code changed during the run"
    difference = _first_score(record, again) or _first_point(
        record.training.curve, again.training.curve
    )
    there, here = machine_of(record.environment), machine_of(again.environment)
    if difference and there != here:
        difference += f". It was made on {there}; here is {here}, whose last digits may differ"
    return difference


def _first_score(record: Record, again: Record) -> str:
    old, new = (r.metrics[record.metric].episodes for r in (record, again))
    for episode, (was, is_now) in enumerate(zip(old, new, strict=True)):
        if was != is_now:
            return f"the {record.metric} of episode {episode} was {was!r} and is {is_now!r}"
    return ""


def _first_point(old: Sequence[CurvePoint], new: Sequence[CurvePoint]) -> str:
    if len(old) != len(new):
        return f"the learning curve had {len(old)} points and has {len(new)}"
    for number, (was, is_now) in enumerate(zip(old, new, strict=True)):
        for name in ("examples", "steps", "score"):
            if getattr(was, name) != getattr(is_now, name):
                values = f"{getattr(was, name)!r} and is {getattr(is_now, name)!r}"
                return f"the {name} of point {number} of the learning curve was {values}"
    return ""
