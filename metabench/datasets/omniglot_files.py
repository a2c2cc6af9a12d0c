"""Omniglot's files: each half a zip or a folder, checked and decoded.

The official layout is ``images_background/Alphabet/characterNN/NNNN_DD.png``, where DD is the drawer: 105 x
105 pixels of one bit, 0 where there is ink.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from metabench.datasets.archive import open_zip
from metabench.datasets.omniglot_layout import DRAWERS, SIDE, Half, alphabet
from metabench.errors import DataError

SMALL_SIDE = 28

_IMAGE = re.compile(r"(?P<character>[^/]+/character\d\d)/\d+_(?P<drawer>\d\d)\.png")
# The larger half holds less than 5 MB.
_MAX_BYTES = 100 * 1000**2


@dataclass(frozen=True)
class Source:
    """One half of Omniglot where it was found.

    Args:
        half: what should be there.
        path: a zip file or a folder.
    """

    half: Half
    path: Path

    @classmethod
    def find(cls, half: Half, folder: Path) -> Source | None:
        """The zip of a half in ``folder``, else its own folder there, else ``None``."""
        if (archive := folder / f"{half.name}.zip").is_file():
            return cls(half, archive)
        return cls(half, folder / half.name) if (folder / half.name).is_dir() else None

    @property
    def is_zip(self) -> bool:
        """Whether this is a zip file rather than a folder."""
        return self.path.suffix == ".zip"

    def identity(self) -> str:
        """A sha256 that changes when the files do: of a zip's bytes, of a folder's names, sizes and times.

        Raises:
            DataError: the files cannot be read, or some of a folder's are missing.
        """
        h = hashlib.sha256(repr(self.half).encode())
        try:
            if self.is_zip:
                h.update(self.path.read_bytes())
            else:
                for name in self.check():
                    facts = (self.path / name).stat()
                    h.update(f"{name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error}.") from error
        return h.hexdigest()

    def check(self) -> list[str]:
        """The names of all images, without decoding them: by character, then by drawer.

        Raises:
            DataError: the files cannot be read, or some of them are missing.
        """
        with self._open() as reader:
            return _complete(self, reader.names())

    def images(self) -> Iterator[Image.Image]:
        """All images, 105 x 105 of mode "1": by character, then by drawer.

        Raises:
            DataError: some are missing, or one is not an image of Omniglot's.
        """
        with self._open() as reader:
            for name in _complete(self, reader.names()):
                yield _decode(reader, self.path, name)

    @contextmanager
    def _open(self) -> Iterator[_Reader]:
        if not self.is_zip:
            yield _Folder(self.path)
            return
        with open_zip(self.path, max_bytes=_MAX_BYTES) as archive:
            yield _Zip(archive, f"{self.half.name}/")


class _Reader(Protocol):
    def names(self) -> Iterator[str]: ...

    def read(self, name: str) -> bytes: ...


@dataclass(frozen=True)
class _Folder:
    path: Path

    def names(self) -> Iterator[str]:
        for path in self.path.glob("*/*/*.png"):
            yield path.relative_to(self.path).as_posix()

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()


@dataclass(frozen=True)
class _Zip:
    archive: zipfile.ZipFile
    prefix: str

    def names(self) -> Iterator[str]:
        for name in self.archive.namelist():
            if name.startswith(self.prefix):
                yield name.removeprefix(self.prefix)

    def read(self, name: str) -> bytes:
        return self.archive.read(self.prefix + name)


def _complete(source: Source, names: Iterator[str]) -> list[str]:
    """The names of all images of a half, in order; DataError says which are missing or there twice."""
    expected = set(source.half.characters)
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for name in names:
        match = _IMAGE.fullmatch(name)
        if match is None or match["character"] not in expected:
            continue
        drawer = int(match["drawer"])
        if drawer in found[match["character"]]:
            other = found[match["character"]][drawer]
            raise DataError(
                f"{source.path} has two images for one drawer: {other} and {name}.",
                hint="Remove the one that is not Omniglot's.",
            )
        found[match["character"]][drawer] = name
    if missing := _missing(source.half, found):
        raise DataError(
            f"{source.path} is incomplete: {missing}.",
            hint=f"Remove {source.path} and get it again, whole.",
        )
    return [found[c][drawer] for c in source.half.characters for drawer in range(1, DRAWERS + 1)]


def _missing(half: Half, found: dict[str, dict[int, str]]) -> str:
    """What is missing, largest units first; empty where nothing is."""
    there = {alphabet(character) for character in found}
    alphabets = sorted({alphabet(character) for character in half.characters} - there)
    rest = [character for character in half.characters if alphabet(character) in there]
    characters = [character for character in rest if character not in found]
    images = [
        f"{character} drawer {drawer:02}"
        for character in rest
        if character in found
        for drawer in range(1, DRAWERS + 1)
        if drawer not in found[character]
    ]
    units = (("alphabet(s)", alphabets), ("character(s)", characters), ("image(s)", images))
    return "; ".join(
        f"{len(names)} {unit} missing ({_some(names)})" for unit, names in units if names
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3)


def _decode(reader: _Reader, path: Path, name: str) -> Image.Image:
    where = f"{path}: {name}"
    hint = f"Remove {path} and get it again."
    try:
        with Image.open(io.BytesIO(reader.read(name)), formats=("PNG",)) as image:
            if image.size != (SIDE, SIDE):
                width, height = image.size
                raise DataError(
                    f"{where} is {width} x {height} pixels, not {SIDE} x {SIDE}.", hint=hint
                )
            bits = image.convert("1", dither=Image.Dither.NONE)
    except UnidentifiedImageError as error:
        raise DataError(f"{where} is not a PNG image.", hint=hint) from error
    # Pillow raises SyntaxError and ValueError, too, on a broken PNG.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{where} is not a readable image: {error}.", hint=hint) from error
    ink = bits.histogram()[0]
    if not 0 < ink <= SIDE * SIDE // 2:
        raise DataError(
            f"{where} has {ink} dark pixels of {SIDE * SIDE}: Omniglot draws dark lines on white.",
            hint=hint,
        )
    return bits


def small_stack(sources: Sequence[Source]) -> NDArray[np.uint8]:
    """All images at 28 x 28, as the papers' scripts make them.

    They ask Pillow for a smooth filter, which it does not apply to images of one bit: it takes the nearest
    pixel.

    Args:
        sources: the halves, in order.

    Returns:
        uint8 ``[characters, 20, 28, 28]``, 255 where there is ink and 0 elsewhere.

    Raises:
        DataError: something is missing or damaged.
    """
    small = [
        ~np.asarray(image.resize((SMALL_SIDE, SMALL_SIDE), Image.Resampling.NEAREST), dtype=bool)
        for source in sources
        for image in source.images()
    ]
    return np.stack(small).astype(np.uint8).reshape(-1, DRAWERS, SMALL_SIDE, SMALL_SIDE) * np.uint8(
        255
    )


def content_digest(sources: Sequence[Source]) -> str:
    """The sha256 of all pixels at full size: the same for any archive or folder of the same images.

    Args:
        sources: the halves, in order.

    Returns:
        The digest over the images by half, character and drawer: each as 105 rows of 14 bytes, the first
        pixel in the highest bit, 0 where there is ink.

    Raises:
        DataError: something is missing or damaged.
    """
    h = hashlib.sha256()
    for source in sources:
        for image in source.images():
            h.update(image.tobytes())
    return h.hexdigest()
