"""Getting the files of a data set: downloaded whole and checked, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from metabench.errors import DataError

_TIMEOUT_SECONDS = 30.0
_CHUNK = 1 << 16
_MAX_BYTES = 1 << 36  # where neither the data set nor the server tells the size

#: Called as ``progress(filename, bytes so far, bytes in all or None)``.
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class RemoteFile:
    """A file that a data set consists of.

    Args:
        url: where it is published.
        filename: what it is called in the data set's folder.
        checksum: ``md5:`` or ``sha256:`` and the hexadecimal digest.
        size: in bytes, where it is known.
    """

    url: str
    filename: str
    checksum: str
    size: int | None = None

    def is_at(self, path: Path) -> bool:
        """Whether ``path`` holds this file, byte for byte."""
        try:
            return self._checksum(path) == self.checksum
        except OSError:
            return False

    def check(self, path: Path) -> None:
        """Raise DataError where ``path`` does not hold this file."""
        if (checksum := self._checksum(path)) != self.checksum:
            raise DataError(
                f"{self.url} gave another file: its checksum is {checksum}, not {self.checksum}."
            )

    def _checksum(self, path: Path) -> str:
        kind = self.checksum.partition(":")[0]
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
        return f"{kind}:{digest.hexdigest()}"


@dataclass(frozen=True)
class VerifyReport:
    """What the check of a data set found.

    Args:
        name: the data set.
        findings: what is wrong, each with what to do about it; empty where all is well.
        details: counts, and the digest of the content.
    """

    name: str
    findings: tuple[str, ...] = ()
    details: Mapping[str, int | str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


@runtime_checkable
class Downloadable(Protocol):
    """A data set that can be fetched and checked; :class:`ClassDataset` itself demands neither."""

    def status(self) -> str:
        """What is there, in a word: ``missing``, ``incomplete``, or what it is."""
        ...

    def download(self, progress: Progress | None = None) -> list[Path]:
        """Fetch what is missing or wrong."""
        ...

    def verify(self) -> VerifyReport:
        """Check all of the content."""
        ...


def how_to_get(dataset_name: str, files: Sequence[RemoteFile], folder: Path) -> str:
    """The hint for a data set that is not there.

    Args:
        dataset_name: as the command line knows it.
        files: what it consists of.
        folder: where the files belong.
    """
    urls = " and ".join(file.url for file in files)
    return (
        f"`metabench data download {dataset_name}` fetches it; or put {urls} into {folder} by hand."
    )


def download(
    dataset_name: str,
    files: Sequence[RemoteFile],
    folder: Path,
    *,
    progress: Progress | None = None,
) -> list[Path]:
    """Fetch the files of a data set; those that are there and right are left alone.

    Each file takes its name only when it is whole and its checksum is right; until then what was there before
    stays.

    Args:
        dataset_name: for the messages.
        files: what to fetch.
        folder: where to; it is made.
        progress: called as each file grows.

    Returns:
        The path of each file, in order.

    Raises:
        DataError: a file cannot be fetched, is not the published one, or cannot be written; the hint says
            where to put it by hand.
    """
    paths = []
    for file in files:
        path = folder / file.filename
        paths.append(path)
        if file.is_at(path):
            continue
        part = folder / f".{file.filename}.{uuid.uuid4().hex}"
        try:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with part.open("wb"):
                    pass
            except OSError as error:
                raise DataError(f"{folder} cannot be written: {error}.") from error
            _fetch(file, part, progress)
            file.check(part)
            os.replace(part, path)
        except DataError as error:
            hint = f"Put {file.url} into {folder} by hand, under the name {file.filename}."
            raise DataError(
                f"{dataset_name} was not downloaded: {error.message}", hint=hint
            ) from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
    return paths


def _fetch(file: RemoteFile, part: Path, progress: Progress | None) -> None:
    done = 0
    try:
        with (
            urllib.request.urlopen(file.url, timeout=_TIMEOUT_SECONDS) as response,
            part.open("wb") as out,
        ):
            declared = response.headers.get("Content-Length", "")
            total = (
                file.size
                if file.size is not None
                else int(declared)
                if declared.isdecimal()
                else None
            )
            most = _MAX_BYTES if total is None else total
            while chunk := response.read(_CHUNK):
                done += len(chunk)
                if done > most:
                    raise DataError(f"{file.url} sent more than the {most:,} bytes expected.")
                out.write(chunk)
                if progress:
                    progress(file.filename, done, total)
    except urllib.error.HTTPError as error:
        with error:  # it holds the connection
            raise DataError(f"{file.url} cannot be fetched: {error}.") from error
    # URLError and time-outs are OSErrors; the rest breaks off in the middle.
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{file.url} cannot be fetched: {error}.") from error
    if total is not None and done != total:
        raise DataError(f"{file.url} broke off after {done:,} of {total:,} bytes.")
