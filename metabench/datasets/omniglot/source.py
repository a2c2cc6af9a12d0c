"""Find and read Omniglot's files: each half a zip or a folder.

The published layout is ``images_background/Alphabet/characterNN/NNNN_DD.png``; DD is the drawer.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from metabench.datasets.archive import open_zip
from metabench.datasets.omniglot.layout import DRAWERS, Half, alphabet
from metabench.errors import DataError
from metabench.utils.text import counted

_IMAGE = re.compile(r"(?P<character>[^/]+/character\d\d)/\d+_(?P<drawer>\d\d)\.png")
# The larger half holds less than 5 MB; more than this is not Omniglot.
_MAX_BYTES = 100 * 1000**2


@dataclass(frozen=True)
class Source:
    """One half of Omniglot on disk.

    Args:
        half: Expected content.
        path: A zip file or a folder.
    """

    half: Half
    path: Path

    @classmethod
    def find(cls, half: Half, folder: Path) -> Source | None:
        """Returns the zip of a half in ``folder``, else its folder there, else ``None``."""
        if (archive := folder / f"{half.name}.zip").is_file():
            return cls(half, archive)
        return cls(half, folder / half.name) if (folder / half.name).is_dir() else None

    @property
    def is_zip(self) -> bool:
        """Whether this is a zip file rather than a folder."""
        return self.path.suffix == ".zip"

    @property
    def hint(self) -> str:
        """What to do if the content is wrong."""
        return f"Remove {self.path} and download it again."

    def identity(self) -> str:
        """Returns a sha256 that changes with the files.

        It covers the bytes of a zip, or the names, sizes and modification times in a folder.

        Raises:
            DataError: If files cannot be read, or images are missing from a folder.
        """
        h = hashlib.sha256(repr(self.half).encode())
        try:
            if self.is_zip:
                # A few megabytes; a folder has thousands of files, which are not read.
                h.update(self.path.read_bytes())
            else:
                for name in self.check():
                    stat = (self.path / name).stat()
                    h.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error}.") from error
        return h.hexdigest()

    def check(self) -> list[str]:
        """Returns the names of all images, by character and drawer, without reading them.

        Raises:
            DataError: If files cannot be read, or images are missing or duplicate.
        """
        with self._open() as reader:
            return self._image_names(reader.names())

    def read_images(self) -> Iterator[tuple[str, bytes]]:
        """Yield the name and the content of each image, by character and drawer.

        Raises:
            DataError: If files cannot be read, or images are missing or duplicate.
        """
        with self._open() as reader:
            for name in self._image_names(reader.names()):
                try:
                    content = reader.read(name)
                except OSError as error:
                    raise DataError(
                        f"{self.path}: {name} is not a readable image: {error}.", hint=self.hint
                    ) from error
                yield name, content

    @contextmanager
    def _open(self) -> Iterator[_Reader]:
        if not self.is_zip:
            yield _FolderReader(self.path)
            return
        with open_zip(self.path, max_bytes=_MAX_BYTES) as archive:
            yield _ZipReader(archive, f"{self.half.name}/")

    def _image_names(self, names: Iterator[str]) -> list[str]:
        """Returns the names of all expected images, in order.

        Raises:
            DataError: If an image is missing or a drawer has two.
        """
        expected = set(self.half.characters)
        found: dict[str, dict[int, str]] = defaultdict(dict)
        for name in names:
            match = _IMAGE.fullmatch(name)
            if match is None or match["character"] not in expected:
                continue
            drawer = int(match["drawer"])
            if drawer in found[match["character"]]:
                other = found[match["character"]][drawer]
                raise DataError(
                    f"{self.path} has two images for one drawer: {other} and {name}.",
                    hint="Remove the one that is not Omniglot's.",
                )
            found[match["character"]][drawer] = name
        if missing := _missing(self.half, found):
            raise DataError(f"{self.path} is incomplete: {missing}.", hint=self.hint)
        return [
            found[character][drawer]
            for character in self.half.characters
            for drawer in range(1, DRAWERS + 1)
        ]


class _Reader(Protocol):
    def names(self) -> Iterator[str]: ...

    def read(self, name: str) -> bytes: ...


@dataclass(frozen=True)
class _FolderReader:
    path: Path

    def names(self) -> Iterator[str]:
        for path in self.path.glob("*/*/*.png"):
            yield path.relative_to(self.path).as_posix()

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()


@dataclass(frozen=True)
class _ZipReader:
    archive: zipfile.ZipFile
    prefix: str

    def names(self) -> Iterator[str]:
        for name in self.archive.namelist():
            if name.startswith(self.prefix):
                yield name.removeprefix(self.prefix)

    def read(self, name: str) -> bytes:
        return self.archive.read(self.prefix + name)


def _missing(half: Half, found: dict[str, dict[int, str]]) -> str:
    """List what is missing, largest units first; empty if nothing is."""
    present = {alphabet(character) for character in found}
    alphabets = sorted({alphabet(character) for character in half.characters} - present)
    rest = [character for character in half.characters if alphabet(character) in present]
    characters = [character for character in rest if character not in found]
    images = [
        f"{character} drawer {drawer:02}"
        for character in rest
        if character in found
        for drawer in range(1, DRAWERS + 1)
        if drawer not in found[character]
    ]
    units = (("alphabet", alphabets), ("character", characters), ("image", images))
    return "; ".join(
        f"{counted(len(names), unit)} missing ({_first_three(names)})"
        for unit, names in units
        if names
    )


def _first_three(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3)
