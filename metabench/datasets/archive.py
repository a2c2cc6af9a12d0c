"""Reading zip files that come from elsewhere: nothing in them is trusted before it is checked."""

from __future__ import annotations

import lzma
import shutil
import stat
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from metabench.errors import DataError

_GIB = 1024**3
#: What :mod:`zipfile` raises when it reads damaged or unheard-of archives.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


def check_member(member: zipfile.ZipInfo) -> None:
    """Refuse a member that could be written outside the folder it is unpacked into.

    Args:
        member: one entry of a zip file.

    Raises:
        DataError: the name is absolute, climbs with ``..`` or is no portable name, or the member is a link, a
            device or encrypted.
    """
    name = member.filename
    windows = PureWindowsPath(name)
    if (
        not name.strip("/")
        or "\\" in name
        or "\0" in member.orig_filename
        or ".." in PurePosixPath(name).parts
        or name.startswith("/")
        or windows.drive
    ):
        raise DataError(f"the zip member {name!r} would leave the folder it is unpacked into.")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(f"the zip member {name!r} is a link or a device, not a file.")
    if member.flag_bits & 0x1:
        raise DataError(f"the zip member {name!r} is encrypted.")


@contextmanager
def open_zip(path: Path, *, max_bytes: int = 4 * _GIB, hint: str = "") -> Iterator[zipfile.ZipFile]:
    """Open a zip file of which every member has been checked.

    A member gives at most the bytes that it declares (:mod:`zipfile` stops there), so that the sum of the
    declared sizes bounds what is unpacked.

    Args:
        path: the zip file.
        max_bytes: the most that all members together may declare to hold, unpacked.
        hint: what to do about a bad archive.

    Yields:
        The open archive.

    Raises:
        DataError: the file is no zip file or is unsafe, it declares more than ``max_bytes``, or it turns out
            to be damaged while it is open.
    """
    hint = hint or f"Remove {path} and get it again."
    try:
        archive = zipfile.ZipFile(path)
    except (*_DAMAGE, OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable zip file: {error}.", hint=hint) from error
    with archive:
        try:
            _check_all(archive, max_bytes)
        except DataError as error:
            raise DataError(f"{path} is not safe to unpack: {error.message}", hint=hint) from error
        try:
            yield archive
        except _DAMAGE as error:
            raise DataError(f"{path} is damaged: {error}.", hint=hint) from error


def _check_all(archive: zipfile.ZipFile, max_bytes: int) -> None:
    for member in archive.infolist():
        check_member(member)
    if (total := sum(member.file_size for member in archive.infolist())) > max_bytes:
        raise DataError(
            f"it declares {total:,} bytes unpacked, where at most {max_bytes:,} are expected."
        )


def extract(path: Path, folder: Path, *, max_bytes: int = 4 * _GIB) -> Path:
    """Unpack a zip file into a new folder, wholly or not at all.

    Args:
        path: the zip file.
        folder: the folder to make; it must not be there yet.
        max_bytes: the most that the archive may hold, unpacked.

    Returns:
        The folder.

    Raises:
        DataError: the folder is there already or cannot be written, or the archive is damaged or unsafe.
    """
    if folder.exists():
        raise DataError(f"{folder} is there already.", hint="Remove it to unpack again.")
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        with open_zip(path, max_bytes=max_bytes) as archive:
            part.mkdir(parents=True)
            archive.extractall(part)
        part.rename(folder)
    except OSError as error:
        raise DataError(f"{path} cannot be unpacked to {folder}: {error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder
