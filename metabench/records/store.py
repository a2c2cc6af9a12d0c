"""Read and write a folder of records."""

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
"""Bytes of the largest file that is read; the committed records have at most 0.1 MiB."""

# No process takes an hour to write one file, so an older temporary file is from a killed run.
_STALE_SECONDS = 3600.0


@dataclass(frozen=True)
class Unreadable:
    """A file in the records folder that is not a valid record.

    Attributes:
        path: The file.
        reason: What is wrong; a predicate of which the file is the subject.
    """

    path: Path
    reason: str


class ResultsFolder:
    """A results folder: ``records/`` for the cells and ``checkpoints/`` for their states.

    The checkpoint of a finished cell holds the trained state: metrics that a later run adds are
    measured on it.

    Args:
        path: The folder. It is created when something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = path / "records"
        self.checkpoints = path / "checkpoints"

    def check_writable(self) -> None:
        """Check that records can be written, and remove the temporary files of killed runs.

        Raises:
            ResultsError: If the folder cannot be written.
        """
        try:
            with atomic_path(self.records / ".writable") as probe:
                probe.write_text("")
            (self.records / ".writable").unlink()
            self._remove_stale_files()
        except OSError as error:
            raise ResultsError(
                f"the results folder '{self.path}' cannot be written: {error.strerror or error}.",
                hint="Choose another with --results.",
            ) from error

    def save(self, record: Record) -> Path:
        """Write a record and return its path.

        A record that is not ``ok`` never replaces one that is: it is written to
        ``*.failed.json`` next to it.
        """
        path = self.records / record.file_name
        failed = path.with_suffix(".failed.json")
        if record.status != "ok" and path.exists():
            with contextlib.suppress(ResultsError):  # a damaged record may be replaced
                if read_record(path).status == "ok":
                    path = failed
        with atomic_path(path) as temporary:
            temporary.write_text(record.model_dump_json() + "\n", encoding="utf-8")
        if path != failed:
            failed.unlink(missing_ok=True)
        return path

    def checkpoint(self, key: str) -> Path:
        """Returns the path of a cell's checkpoint."""
        return self.checkpoints / f"{key[:32]}.pt"

    def _remove_stale_files(self) -> None:
        for folder in (self.records, self.checkpoints):
            for path in folder.rglob(".*.tmp"):
                # Newer ones may be in use by another run in the same folder.
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                        path.unlink()

    def load(self) -> tuple[list[Record], list[Unreadable]]:
        """Returns all records, and all files that are not valid records.

        A folder of JSON files without ``records/`` is read as well.
        """
        root = self.records if self.records.is_dir() else self.path
        records: list[Record] = []
        unreadable: list[Unreadable] = []
        # Sorted: file systems list in any order, and pages must be reproducible.
        for path in sorted(root.rglob("*.json")):
            if path.name.startswith("."):  # another run may be writing it
                continue
            try:
                records.append(read_record(path))
            except ResultsError as error:
                unreadable.append(Unreadable(path, error.message))
        return records, unreadable


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        ResultsError: If the file is not a valid record: truncated, of another program, too large,
            or of another schema version. The message is a predicate of which the file is the
            subject.
    """
    try:
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise ResultsError(
                f"is too large for a record: {size / 2**20:.0f} MiB, where at most "
                f"{LARGEST_FILE / 2**20:.0f} are read"
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"cannot be read: {error}") from error
    try:
        record = Record.model_validate_json(text)
    except ValidationError as error:
        raise ResultsError(_explain(error)) from error
    for name, metric in record.metrics.items():
        # `values` is any JSON, which pydantic does not search for NaN and infinities.
        try:
            json.dumps(metric.values, allow_nan=False)
        except ValueError as error:
            raise ResultsError(
                f"is not a record: metrics.{name}.values: a number is not finite"
            ) from error
    return record


def _explain(error: ValidationError) -> str:
    """Returns the first of pydantic's errors in one line."""
    first = error.errors()[0]
    if first["loc"] == ("schema_version",):
        return (
            f"is a record of schema version {first['input']!r}; "
            f"this metabench reads version {SCHEMA_VERSION}"
        )
    where = ".".join(map(str, first["loc"]))
    return f"is not a record: {where + ': ' if where else ''}{first['msg']}"
