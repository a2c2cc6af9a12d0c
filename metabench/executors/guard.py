"""An executor at work, whoever brings it: what it does wrong is told, and no cell is lost."""

from __future__ import annotations

import functools
import reprlib
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from metabench.errors import MetabenchError, PluginError
from metabench.executors.base import Executor
from metabench.records.schema import Record
from metabench.registry import Registry, Spec, describe_error
from metabench.running.cell import Cell
from metabench.running.job import Job, Terms

TAIL = 4000


def guarded(registry: Registry, name: str) -> Callable[[Terms], Guarded]:
    """What makes the executor of this name, given what a run asks of it.

    Raises:
        UnknownName: there is no such executor.
    """
    return functools.partial(Guarded, registry.get("executor", name))


class Guarded:
    """An executor that is watched.

    Args:
        spec: the executor.
        terms: what the run asks for.

    Raises:
        PluginError: it cannot be imported or made, or is no executor.
        MetabenchError: it cannot keep to these terms, and says so.
    """

    def __init__(self, spec: Spec, terms: Terms) -> None:
        self._spec = spec
        self._registry = terms.registry
        self._tell = terms.on_event
        self._ours: BaseException | None = None
        make = spec.load()
        try:
            self._executor: Executor = make(replace(terms, on_event=self._on_event))
        except MetabenchError:
            raise
        except (Exception, SystemExit) as error:
            raise self._broken(f"cannot be made: {describe_error(error)}") from error
        if not callable(getattr(self._executor, "run", None)):
            raise self._broken(f"is {reprlib.repr(self._executor)}, which has no `run`")

    def run(self, jobs: Sequence[Job]) -> Iterator[Record]:
        """One record for each job: the executor's, or one that says what the executor did wrong.

        Raises:
            MetabenchError: the executor said that it cannot go on.
        """
        waiting = {_place(job.cell): job for job in jobs}
        reason = tail = ""
        try:
            for record in self._executor.run(jobs) if jobs else ():
                place = _place(record) if isinstance(record, Record) else None
                if waiting.pop(place, None) is None:
                    raise PluginError(
                        f"gave {reprlib.repr(record)}, which is the record of no cell that waits"
                    )
                yield record
        except (Exception, SystemExit) as error:
            if error is self._ours or (
                type(error) is not PluginError and isinstance(error, MetabenchError)
            ):
                raise
            what = describe_error(error)
            reason = what if isinstance(error, PluginError) else f"failed: {what}"
            tail = traceback.format_exc()[-TAIL:]
        if waiting or reason:
            broken = self._broken(reason or "gave no record of this cell")
            for job in waiting.values():
                yield job.ended("broken-plugin", broken.message, traceback=tail)

    def _on_event(self, cell: Cell, event: dict[str, Any]) -> None:
        """Pass an event on; an error of whoever listens is not the executor's."""
        if not (isinstance(cell, Cell) and isinstance(event, dict) and "phase" in event):
            raise TypeError(f"{reprlib.repr(event)} is no event of a cell")
        try:
            self._tell(cell, event)
        except Exception as error:
            self._ours = error
            raise

    def _broken(self, what: str) -> PluginError:
        """The error that says so; the plugin is marked as broken."""
        reason = f"executor '{self._spec.name}' of '{self._spec.distribution}' {what}"
        self._registry.on_broken("executor", self._spec, reason)
        return PluginError(reason, hint="`metabench list executors` shows the others.")


def _place(thing: Any) -> tuple[str, str, int]:
    """What a cell and its record have in common; the key may change between the plan and the run."""
    name = thing.algorithm if isinstance(thing, Cell) else thing.algorithm.name
    return name, thing.benchmark.title, thing.seed
