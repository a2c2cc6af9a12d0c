"""Omniglot: 1623 handwritten characters of 50 alphabets, each drawn by 20 people."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metabench.datasets import cache
from metabench.datasets.base import ClassDataset, ClassPool, Split, cache_root
from metabench.datasets.omniglot_files import SMALL_SIDE, Source, content_digest, small_stack
from metabench.datasets.omniglot_layout import DRAWERS, alphabet, official_halves
from metabench.datasets.omniglot_splits import SPLITTERS
from metabench.datasets.store import Progress, RemoteFile, VerifyReport, download, how_to_get
from metabench.errors import DataError, UsageError

_QUARTER_TURNS = 4
_URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
#: The published archives.
FILES = tuple(
    RemoteFile(_URL + filename, filename, checksum)
    for filename, checksum in (
        ("images_background.zip", "md5:68d2efa1b9178cc56df9314c21c6e718"),
        ("images_evaluation.zip", "md5:6b91aef0f799c5bb55b94e3f2daec811"),
    )
)
#: The digest of all pixels (:func:`~metabench.datasets.omniglot_files.content_digest`).
CONTENT_DIGEST = "4413a81209f71578e99643b0575cf6a51eb77ce624a1869a1f611d8928e722fb"


class Omniglot(ClassDataset):
    """Omniglot at 28 x 28 pixels, white ink on black, 20 examples of each class.

    The data lie in ``<root>/omniglot`` (or ``root`` is that folder itself), each half as the official zip or
    unpacked: ``images_background`` and ``images_evaluation``.

    Args:
        root: the folder that holds one folder per data set; ``None`` means the default.
        split: how the characters are shared out.

            * ``vinyals``: 1028/172/423 characters in fixed lists; each character is four classes, one for
              each rotation by 0, 90, 180, 270 degrees (Vinyals et al. 2016; lists of Snell et al. 2017).
            * ``maml``: 1100/100/423 characters at random; an episode turns each of its classes at random by a
              multiple of 90 degrees (Finn et al. 2017). The characters are sorted by the sha256 of
              ``maml-split-1/Alphabet/characterNN``: the paper's own shuffle started from a folder's listing,
              whose order differs between machines.
            * ``background-evaluation``: whole alphabets, never rotated: 25 of the 30 background alphabets
              train, the five smallest validate, the 20 evaluation alphabets test (Lake et al. 2015; the
              validation alphabets are those of Triantafillou et al. 2020).

    Raises:
        UsageError: there is no such way to split.

    References:
        Lake, Salakhutdinov, Tenenbaum 2015, Science 350. Vinyals et al. 2016, arXiv:1606.04080.
        Snell, Swersky, Zemel 2017, arXiv:1703.05175. Finn, Abbeel, Levine 2017, arXiv:1703.03400.
        Triantafillou et al. 2020, arXiv:1903.03096.
    """

    name = "omniglot"
    version = "1"
    input_shape = (1, SMALL_SIDE, SMALL_SIDE)

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
        """Where the two halves are looked for."""
        inner = self.root / self.name
        if not inner.is_dir() and any(Source.find(half, self.root) for half in self.halves):
            return self.root
        return inner

    def pool(self, split: Split) -> ClassPool:
        """The examples of one split.

        Args:
            split: ``train``, ``validation`` or ``test``.

        Returns:
            Images uint8 ``[rows, 20, 1, 28, 28]``, 255 where there is ink. A rotation is counterclockwise. A
            class's group is its alphabet, its origin the character.

        Raises:
            DataError: the data are missing or damaged; the hint says how to get them.
        """
        self.check_split(split)
        characters = SPLITTERS[self.split](self.halves)[split]
        images = self._images(characters)
        if self.split == "background-evaluation":
            return ClassPool(images, characters, tuple(map(alphabet, characters)))
        images = _rotations(images)
        if self.split == "maml":
            return ClassPool(
                images, characters, tuple(map(alphabet, characters)), variants=_QUARTER_TURNS
            )
        origins = tuple(character for character in characters for _ in range(_QUARTER_TURNS))
        names = tuple(
            f"{c}/rot{90 * turns:03}" for c in characters for turns in range(_QUARTER_TURNS)
        )
        return ClassPool(images, names, tuple(map(alphabet, origins)), origins)

    def status(self) -> str:
        """What is there, without decoding an image.

        Returns:
            ``zips``, ``folders`` (at least one half is unpacked), ``missing``, or ``incomplete`` (some of it
            is missing or damaged).
        """
        found = self._found()
        if not any(found):
            return "missing"
        try:
            sources = self._sources()
            for source in sources:
                source.check()
        except DataError:
            return "incomplete"
        return "zips" if all(source.is_zip for source in sources) else "folders"

    def verify(self) -> VerifyReport:
        """Decode every image and compare all pixels with the published ones, however they are packed."""
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
                    f"the images in {self.folder} are not the published ones: the digest of their pixels is "
                    f"{digest}, not {CONTENT_DIGEST}.\n" + how_to_get(self.name, FILES, self.folder)
                )
        return VerifyReport(self.name, tuple(findings), details)

    def download(self, progress: Progress | None = None) -> list[Path]:
        """Get the published archives; nothing is fetched where the data are there and right.

        Args:
            progress: called with each file's name, the bytes so far and the bytes in all.

        Returns:
            Where the two halves are.

        Raises:
            DataError: they cannot be fetched or written; the hint says where to put them by hand.
        """
        if self.verify().ok:
            return [source.path for source in self._sources()]
        return download(self.name, FILES, self.folder, progress=progress)

    def _images(self, characters: Sequence[str]) -> Tensor:
        """uint8 ``[characters, 20, 1, 28, 28]``."""
        rows = {name: row for row, name in enumerate(self._characters)}
        return torch.from_numpy(self._stack)[[rows[name] for name in characters]].unsqueeze(2)

    @property
    def _characters(self) -> tuple[str, ...]:
        return tuple(name for half in self.halves for name in half.characters)

    @cached_property
    def _stack(self) -> NDArray[np.uint8]:
        """All images ``[characters, 20, 28, 28]``, from the cache or, once, from the files."""
        sources = self._sources()
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
        """Both halves; DataError where one is not there."""
        found = self._found()
        sources = [source for source in found if source]
        if len(sources) == len(found):
            return sources
        absent = [half.name for half, source in zip(self.halves, found, strict=True) if not source]
        names = " and no ".join(f"{name}.zip (or the folder {name})" for name in absent)
        raise DataError(
            f"{'half of ' if sources else ''}Omniglot is missing: there is no {names} in {self.folder}.",
            hint=how_to_get(self.name, FILES, self.folder),
        )


def _rotations(images: Tensor) -> Tensor:
    """``[characters, ...]`` -> ``[characters * 4, ...]``: each by 0, 90, 180 and 270 degrees."""
    turns = [torch.rot90(images, turns, (-2, -1)) for turns in range(_QUARTER_TURNS)]
    return torch.stack(turns, dim=1).flatten(0, 1)
