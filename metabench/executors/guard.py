"""Isolation of executors: an error of one becomes a record, and no cell is lost."""

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
from metabench.running.job import Job, Terms, place_of
from metabench.running.run_cell import TRACEBACK_LENGTH


def guarded(registry: Registry, name: str) -> Callable[[Terms], GuardedExecutor]:
    """Returns a function that makes the executor of this name under some terms.

    Raises:
        UnknownName: If there is no such executor.
    """
    return functools.partial(GuardedExecutor, registry.get("executor", name))


class GuardedExecutor:
    """Runs jobs with an executor that may be broken.

    Args:
        spec: The executor.
        terms: What the run requires.

    Raises:
        PluginError: If it cannot be imported or constructed, or is not an executor.
        MetabenchError: If it says that it cannot keep to the terms.
    """

    def __init__(self, spec: Spec, terms: Terms) -> None:
        self._spec = spec
        self._registry = terms.registry
        self._on_event = terms.on_event
        self._listener_error: BaseException | None = None
        make = spec.load()
        try:
            self._executor: Executor = make(replace(terms, on_event=self._forward))
        except MetabenchError:
            raise
        except (Exception, SystemExit) as error:
            raise self._broken(f"cannot be constructed: {describe_error(error)}") from error
        if not callable(getattr(self._executor, "run", None)):
            raise self._broken(f"is {reprlib.repr(self._executor)}, which has no `run`")

    def run(self, jobs: Sequence[Job]) -> Iterator[Record]:
        """Run jobs. Yields one record for each: the executor's, or one with its error.

        Raises:
            MetabenchError: If the executor says that it cannot go on.
        """
        waiting = {place_of(job.cell): job for job in jobs}
        reason = tail = ""
        try:
            for record in self._executor.run(jobs) if jobs else ():
                valid = isinstance(record, Record)
                if not valid or waiting.pop(place_of(record), None) is None:
                    raise PluginError(
                        f"yielded {reprlib.repr(record)}, which is not the record of a waiting cell"
                    )
                yield record
        except (Exception, SystemExit) as error:
            if self._listener_error is not None:  # the executor may have wrapped it in its own
                raise self._listener_error from None
            # PluginError is the one above; every other error of ours is the executor's message.
            if isinstance(error, MetabenchError) and type(error) is not PluginError:
                raise
            what = describe_error(error)
            reason = what if isinstance(error, PluginError) else f"failed: {what}"
            tail = traceback.format_exc()[-TRACEBACK_LENGTH:]
        if waiting or reason:
            broken = self._broken(reason or "yielded no record of this cell")
            for job in waiting.values():
                yield job.ended("broken-plugin", broken.message, traceback=tail)

    def _forward(self, cell: Cell, event: dict[str, Any]) -> None:
        """Forward an event to the run, and remember an error or exit of the run's own code."""
        if not (isinstance(cell, Cell) and isinstance(event, dict) and "phase" in event):
            raise TypeError(f"{reprlib.repr(event)} is not an event of a cell")
        try:
            self._on_event(cell, event)
        except BaseException as error:  # rich exits if the pipe of the progress is closed
            self._listener_error = error
            raise

    def _broken(self, what: str) -> PluginError:
        """Mark the plugin as broken and return the error that says so."""
        reason = f"executor '{self._spec.name}' of '{self._spec.distribution}' {what}"
        self._registry.on_broken("executor", self._spec, reason)
        return PluginError(reason, hint="`metabench list executors` shows the others.")
