"""Download the files of a data set and verify their checksums."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from metabench.errors import DataError
from metabench.utils.files import atomic_path

_TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 1 << 16
_MAX_BYTES = 1 << 36
"""Size limit, 64 GiB, where neither the data set nor the server declares a size."""

Progress = Callable[[str, int, int | None], None]
"""Called with the file's name, the bytes so far, and the total or ``None`` if it is unknown."""


@dataclass(frozen=True)
class RemoteFile:
    """A published file of a data set.

    Args:
        url: Where it is published.
        filename: Its name in the data set's folder.
        checksum: ``md5:`` or ``sha256:`` and the hexadecimal digest.
        size: Size in bytes, if known.
    """

    url: str
    filename: str
    checksum: str
    size: int | None = None

    def is_at(self, path: Path) -> bool:
        """Returns whether ``path`` has the checksum of this file."""
        try:
            return self._checksum(path) == self.checksum
        except OSError:
            return False

    def check(self, path: Path) -> None:
        """Check that ``path`` has the checksum of this file.

        Raises:
            DataError: If the checksum differs.
        """
        if (checksum := self._checksum(path)) != self.checksum:
            raise DataError(
                f"{self.url} sent a different file: its checksum is {checksum}, "
                f"not {self.checksum}."
            )

    def _checksum(self, path: Path) -> str:
        algorithm = self.checksum.partition(":")[0]
        with path.open("rb") as file:
            # MD5 detects damage here, not forgery; FIPS builds of Python refuse it otherwise.
            digest = hashlib.file_digest(
                file, lambda: hashlib.new(algorithm, usedforsecurity=False)
            )
        return f"{algorithm}:{digest.hexdigest()}"


@dataclass(frozen=True)
class VerifyReport:
    """Result of verifying a data set.

    Args:
        name: Name of the data set.
        findings: Problems, each with what to do about it; empty if there are none.
        details: Counts, and the digest of the content.
    """

    name: str
    findings: tuple[str, ...] = ()
    details: Mapping[str, int | str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.findings


@runtime_checkable
class Downloadable(Protocol):
    """A data set that can be downloaded and verified; optional for a :class:`ClassDataset`."""

    def status(self) -> str:
        """Returns ``missing``, ``incomplete``, or in one word what is present."""
        ...

    def download(self, progress: Progress | None = None) -> list[Path]:
        """Download what is missing or wrong."""
        ...

    def verify(self) -> VerifyReport:
        """Verify the whole content."""
        ...


def how_to_get(dataset_name: str, files: Sequence[RemoteFile], folder: Path) -> str:
    """Returns the hint for a missing data set.

    Args:
        dataset_name: Name on the command line.
        files: The files of the data set.
        folder: The folder that they belong in.
    """
    urls = " and ".join(file.url for file in files)
    return f"Run `metabench data download {dataset_name}`, or put {urls} into {folder} by hand."


# Not pooch (1.9 was tried): its downloader has no size limit and reports progress in whole chunks,
# so a custom downloader would remain. What pooch would then replace, checksums and the atomic move,
# is twenty lines here; it brings six other packages.
def download(
    dataset_name: str,
    files: Sequence[RemoteFile],
    folder: Path,
    *,
    progress: Progress | None = None,
) -> list[Path]:
    """Download the files of a data set that are missing or have the wrong checksum.

    A file replaces the old one only when it is complete and its checksum is correct.

    Args:
        dataset_name: Name for messages.
        files: The files.
        folder: Destination; it is created.
        progress: Called as each file grows.

    Returns:
        The path of each file, in order.

    Raises:
        DataError: If a file cannot be downloaded or written, or has the wrong checksum; the hint
            says where to put it by hand.
    """
    paths = [folder / file.filename for file in files]
    for file, path in zip(files, paths, strict=True):
        if file.is_at(path):
            continue
        try:
            with atomic_path(path) as temporary:
                _fetch(file, temporary, progress)
                file.check(temporary)
        except (DataError, OSError) as error:
            reason = (
                error.message
                if isinstance(error, DataError)
                else f"{path} cannot be written: {error}."
            )
            raise DataError(
                f"{dataset_name} was not downloaded: {reason}",
                hint=f"Put {file.url} into {folder} by hand, under the name {file.filename}.",
            ) from error
    return paths


def _fetch(file: RemoteFile, path: Path, progress: Progress | None) -> None:
    """Download one file and check its size."""
    done = 0
    try:
        with (
            urllib.request.urlopen(file.url, timeout=_TIMEOUT_SECONDS) as response,
            path.open("wb") as out,
        ):
            total = file.size if file.size is not None else _declared_size(response)
            limit = _MAX_BYTES if total is None else total
            while chunk := response.read(_CHUNK_BYTES):
                done += len(chunk)
                if done > limit:
                    raise DataError(f"{file.url} sent more than the {limit:,} bytes expected.")
                out.write(chunk)
                if progress:
                    progress(file.filename, done, total)
    except urllib.error.HTTPError as error:
        with error:  # it keeps the connection open
            raise DataError(f"{file.url} cannot be fetched: {error}.") from error
    # URLError and timeouts are OSErrors; HTTPException is a connection that ends in mid-response.
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{file.url} cannot be fetched: {error}.") from error
    # http.client ends a read without an error if the server closes the connection early.
    if total is not None and done != total:
        raise DataError(f"{file.url} broke off after {done:,} of {total:,} bytes.")


def _declared_size(response: http.client.HTTPResponse) -> int | None:
    declared = response.headers.get("Content-Length", "")
    return int(declared) if declared.isdecimal() else None
