"""A folder of records: one JSON file for each cell, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from metabench.errors import ResultsError
from metabench.records.schema import SCHEMA_VERSION, Record
from metabench.utils.files import atomic_path

LARGEST_FILE = 64 * 2**20
"""Bytes of the largest file that is read as a record; real ones have a hundredth of it."""


_STALE_SECONDS = 3600.0


@dataclass(frozen=True)
class Unreadable:
    """A file among the records that is none."""

    path: Path
    reason: str


class ResultsFolder:
    """A folder of results: ``records/`` for the cells and ``checkpoints/`` for their states.

    The checkpoint of a cell that is done is its trained state: a metric asked for later is measured on that.

    Args:
        path: the folder; made when something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = path / "records"
        self.checkpoints = path / "checkpoints"

    def check_writable(self) -> None:
        """Raise ResultsError where records could not be written, before anything is run."""
        try:
            with atomic_path(self.records / ".writable") as probe:
                probe.write_text("")
            (self.records / ".writable").unlink()
            self._sweep()
        except OSError as error:
            raise ResultsError(
                f"the results folder '{self.path}' cannot be written: {error.strerror or error}.",
                hint="Choose another with --results.",
            ) from error

    def save(self, record: Record) -> Path:
        """Write a record. One that did not go well never takes the place of one that did."""
        path = self.records / record.file_name
        beside = path.with_suffix(".failed.json")
        if record.status != "ok" and path.exists():
            with contextlib.suppress(ResultsError):
                if read_record(path).status == "ok":
                    path = beside
        with atomic_path(path) as temporary:
            temporary.write_text(record.model_dump_json() + "\n", encoding="utf-8")
        if path != beside:
            beside.unlink(missing_ok=True)
        return path

    def checkpoint(self, key: str) -> Path:
        """Where the checkpoint of a cell stands."""
        return self.checkpoints / f"{key[:32]}.pt"

    def _sweep(self) -> None:
        """Remove what a run that was killed left half-written; another run may be writing the newer ones."""
        for folder in (self.records, self.checkpoints):
            for path in folder.rglob(".*.tmp"):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                        path.unlink()

    def load(self) -> tuple[list[Record], list[Unreadable]]:
        """Every record, and every file that is none with the reason.

        A folder of JSON files without ``records/`` is read as well.
        """
        root = self.records if self.records.is_dir() else self.path
        records: list[Record] = []
        unreadable: list[Unreadable] = []
        for path in sorted(root.rglob("*.json")):
            if path.name.startswith("."):
                continue
            try:
                records.append(read_record(path))
            except ResultsError as error:
                unreadable.append(Unreadable(path, error.message))
        return records, unreadable


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        ResultsError: the file is truncated, foreign, too large, or of another schema version.
    """
    try:
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise ResultsError(
                f"is no record: it has {size / 2**20:.0f} MiB, and a record at most 64"
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"cannot be read: {error}") from error
    try:
        record = Record.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("schema_version",):
            raise ResultsError(
                f"is a record of schema version {first['input']!r}, and this metabench reads {SCHEMA_VERSION}"
            ) from error
        where = ".".join(map(str, first["loc"]))
        raise ResultsError(
            f"is not a record: {where + ': ' if where else ''}{first['msg']}"
        ) from error
    for name, metric in record.metrics.items():
        try:
            json.dumps(metric.values, allow_nan=False)
        except ValueError as error:
            raise ResultsError(
                f"is not a record: metrics.{name}.values: a number is not finite"
            ) from error
    return record
