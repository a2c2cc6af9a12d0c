"""The data set: splits, rotations, download and verification."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metabench.datasets import cache
from metabench.datasets.base import ClassDataset, ClassPool, Split, cache_root
from metabench.datasets.download import Progress, RemoteFile, VerifyReport, download, how_to_get
from metabench.datasets.omniglot.decode import SMALL_SIDE, content_digest, small_stack
from metabench.datasets.omniglot.layout import DRAWERS, alphabet, official_halves
from metabench.datasets.omniglot.source import Source
from metabench.datasets.omniglot.splits import SPLITTERS
from metabench.errors import DataError, UsageError

_QUARTER_TURNS = 4
_URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
FILES = tuple(
    RemoteFile(_URL + filename, filename, checksum)
    for filename, checksum in (
        ("images_background.zip", "md5:68d2efa1b9178cc56df9314c21c6e718"),
        ("images_evaluation.zip", "md5:6b91aef0f799c5bb55b94e3f2daec811"),
    )
)
"""The published archives."""
CONTENT_DIGEST = "4413a81209f71578e99643b0575cf6a51eb77ce624a1869a1f611d8928e722fb"
"""The published pixels; see :func:`~metabench.datasets.omniglot.decode.content_digest`."""


class Omniglot(ClassDataset):
    """Omniglot at 28 x 28 pixels, white ink on black, 20 examples per class.

    The data are in ``<root>/omniglot`` (or ``root`` is that folder itself), each half as the
    published zip or unpacked: ``images_background`` and ``images_evaluation``.

    Args:
        root: Folder that holds one folder per data set; ``None`` for the default.
        split: How the characters are split.

            * ``vinyals``: fixed lists of 1028/172/423 characters; each character makes four
              classes, its rotations by multiples of 90 degrees (Vinyals et al. 2016,
              arXiv:1606.04080; lists of Snell et al. 2017, arXiv:1703.05175).
            * ``maml``: 1100/100/423 characters at random; an episode rotates each of its classes
              by a random multiple of 90 degrees (Finn et al. 2017, arXiv:1703.03400).
            * ``background-evaluation``: whole alphabets without rotations: 25 train, the five
              smallest background alphabets validate, the 20 evaluation alphabets test (Lake et
              al. 2015, Science 350; validation of Triantafillou et al. 2020, arXiv:1903.03096).

    Raises:
        UsageError: If there is no split of this name.
    """

    name: ClassVar[str] = "omniglot"
    version: ClassVar[str] = "1"
    input_shape: ClassVar[tuple[int, ...]] = (1, SMALL_SIDE, SMALL_SIDE)

    def __init__(self, root: Path | None = None, *, split: str = "vinyals") -> None:
        super().__init__(root)
        if split not in SPLITTERS:
            raise UsageError(
                f"unknown omniglot split '{split}'.", hint=f"The splits are {', '.join(SPLITTERS)}."
            )
        self.split = split
        self.halves = official_halves()

    @property
    def folder(self) -> Path:
        """Folder that should hold the two halves."""
        inner = self.root / self.name
        if not inner.is_dir() and any(Source.find(half, self.root) for half in self.halves):
            return self.root
        return inner

    def pool(self, split: Split) -> ClassPool:
        """Returns the examples of one split.

        Args:
            split: ``train``, ``validation`` or ``test``.

        Returns:
            Images uint8 ``[rows, 20, 1, 28, 28]``, 255 where there is ink; rotations are
            counterclockwise. The group of a class is its alphabet, its origin the character.

        Raises:
            DataError: If the data are missing or damaged; the hint says how to get them.
        """
        self.check_split(split)
        characters = SPLITTERS[self.split](self.halves)[split]
        images = self._images(characters)
        groups = tuple(map(alphabet, characters))
        if self.split == "background-evaluation":
            return ClassPool(images, characters, groups)
        images = _rotations(images)
        if self.split == "maml":
            return ClassPool(images, characters, groups, variants=_QUARTER_TURNS)
        origins = tuple(character for character in characters for _ in range(_QUARTER_TURNS))
        names = tuple(
            f"{character}/rot{90 * turns:03}"
            for character in characters
            for turns in range(_QUARTER_TURNS)
        )
        return ClassPool(images, names, tuple(map(alphabet, origins)), origins)

    def status(self) -> str:
        """Returns what is present, without decoding images.

        Returns:
            ``zips``, ``folders`` (at least one half is unpacked), ``missing``, or ``incomplete``
            (files are missing or damaged).
        """
        if not any(self._found()):
            return "missing"
        try:
            sources = self._sources()
            for source in sources:
                source.check()
        except DataError:
            return "incomplete"
        return "zips" if all(source.is_zip for source in sources) else "folders"

    def verify(self) -> VerifyReport:
        """Decode every image and compare all pixels with the published ones."""
        findings: list[str] = []
        details: dict[str, int | str] = {}
        try:
            digest = content_digest(self._sources())
        except DataError as error:
            findings.append(str(error))
        else:
            characters = self._characters
            details = {
                "alphabets": len(set(map(alphabet, characters))),
                "characters": len(characters),
                "images": len(characters) * DRAWERS,
                "digest": digest,
            }
            if digest != CONTENT_DIGEST:
                findings.append(
                    f"the images in {self.folder} are not the published ones: the digest of their "
                    f"pixels is {digest}, not {CONTENT_DIGEST}.\n"
                    + how_to_get(self.name, FILES, self.folder)
                )
        return VerifyReport(self.name, tuple(findings), details)

    def download(self, progress: Progress | None = None) -> list[Path]:
        """Download the published archives unless the data are present and correct.

        Args:
            progress: Called with each file's name, the bytes so far and the total.

        Returns:
            The paths of the two halves.

        Raises:
            DataError: If a file cannot be downloaded or written; the hint says where to put it by
                hand.
        """
        # By content: data that were unpacked or zipped by hand are not downloaded again.
        if self.verify().ok:
            return [source.path for source in self._sources()]
        return download(self.name, FILES, self.folder, progress=progress)

    def _images(self, characters: Sequence[str]) -> Tensor:
        """Returns uint8 ``[characters, 20, 1, 28, 28]``."""
        rows = {name: row for row, name in enumerate(self._characters)}
        return torch.from_numpy(self._stack())[[rows[name] for name in characters]].unsqueeze(2)

    @property
    def _characters(self) -> tuple[str, ...]:
        return tuple(name for half in self.halves for name in half.characters)

    def _stack(self) -> NDArray[np.uint8]:
        """All images ``[characters, 20, 28, 28]``, from the cache or decoded from the files."""
        # Not kept: the process where an algorithm runs must not hold the images of meta-test.
        sources = self._sources()
        # By the identity of the files, so that changed files are decoded again.
        key = hashlib.sha256("".join(source.identity() for source in sources).encode()).hexdigest()
        path = cache_root() / "arrays" / f"omniglot-{self.version}-{key[:32]}.bin"
        stack = cache.load(path)
        if stack is None:
            stack = small_stack(sources)
            cache.save(path, stack)
        return stack

    def _found(self) -> list[Source | None]:
        return [Source.find(half, self.folder) for half in self.halves]

    def _sources(self) -> list[Source]:
        """Returns both halves.

        Raises:
            DataError: If one is missing.
        """
        found = self._found()
        sources = [source for source in found if source]
        if len(sources) == len(found):
            return sources
        absent = [half.name for half, source in zip(self.halves, found, strict=True) if not source]
        names = " and no ".join(f"{name}.zip (or the folder {name})" for name in absent)
        raise DataError(
            f"{'half of ' if sources else ''}Omniglot is missing: there is no {names} in "
            f"{self.folder}.",
            hint=how_to_get(self.name, FILES, self.folder),
        )


def _rotations(images: Tensor) -> Tensor:
    """Rotate ``[characters, ...]`` by 0, 90, 180 and 270 degrees: ``[characters * 4, ...]``."""
    # rot90 turns counterclockwise, as Pillow's `rotate` does in ProtoNet's script.
    rotated = [torch.rot90(images, turns, (-2, -1)) for turns in range(_QUARTER_TURNS)]
    return torch.stack(rotated, dim=1).flatten(0, 1)
