"""Read zip files from untrusted sources: every member is checked before any is read."""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from metabench.errors import DataError

_GIB = 1024**3
# What `zipfile` raises on archives that are damaged or of an unsupported kind.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


def check_member(member: zipfile.ZipInfo) -> None:
    """Check that a member of a zip file is a file or folder inside the archive.

    Args:
        member: One entry of a zip file.

    Raises:
        DataError: If the name is absolute, contains ``..`` or is not portable, or the member is a
            link, a device or encrypted.
    """
    name = member.filename
    windows = PureWindowsPath(name)
    if (
        not name.strip("/")
        or "\\" in name
        # zipfile cuts `filename` at a NUL byte, so that the rest would go unchecked.
        or "\0" in member.orig_filename
        or ".." in PurePosixPath(name).parts
        or name.startswith("/")
        or windows.drive
    ):
        raise DataError(f"the zip member {name!r} points outside the archive.")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(f"the zip member {name!r} is a link or a device, not a file.")
    if member.flag_bits & 0x1:
        raise DataError(f"the zip member {name!r} is encrypted.")


@contextmanager
def open_zip(path: Path, *, max_bytes: int = 4 * _GIB, hint: str = "") -> Iterator[zipfile.ZipFile]:
    """Open a zip file after checking every member.

    Args:
        path: The zip file.
        max_bytes: Most bytes that all members together may declare, unpacked.
        hint: What to do about an invalid archive.

    Yields:
        The open archive.

    Raises:
        DataError: If the file is not a zip file, a member fails :func:`check_member`, the members
            declare more than ``max_bytes``, or damage shows while the archive is open.
    """
    hint = hint or f"Remove {path} and download it again."
    try:
        archive = zipfile.ZipFile(path)
    except (*_DAMAGE, OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable zip file: {error}.", hint=hint) from error
    with archive:
        try:
            _check_members(archive, max_bytes)
        except DataError as error:
            raise DataError(f"{path} is not safe to read: {error.message}", hint=hint) from error
        try:
            yield archive
        # A damaged offset makes zipfile seek before the start of the file: an OSError.
        except (*_DAMAGE, OSError) as error:
            raise DataError(f"{path} is damaged: {error}.", hint=hint) from error


def _check_members(archive: zipfile.ZipFile, max_bytes: int) -> None:
    for member in archive.infolist():
        check_member(member)
    # zipfile reads at most the bytes that a member declares, so their sum bounds what is unpacked.
    if (total := sum(member.file_size for member in archive.infolist())) > max_bytes:
        raise DataError(
            f"it declares {total:,} bytes unpacked, where at most {max_bytes:,} are expected."
        )
