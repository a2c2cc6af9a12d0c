"""The data set: rendered once, cached, divided into splits."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from metabench.datasets import cache
from metabench.datasets.base import EMBEDDED, ClassDataset, ClassPool, Split, cache_root
from metabench.datasets.glyphs.drawers import CANVAS, DRAWERS
from metabench.datasets.glyphs.random_ints import bits
from metabench.datasets.glyphs.render import INK, render
from metabench.datasets.glyphs.strokes import ALPHABETS, Characters, make_characters
from metabench.errors import DataError, UsageError
from metabench.runtime.counter_rng import Ints

DIGEST = "34e8718930db623c21fcb1ba6e7c782943597ef362685f29d656a031f9c2c51b"
"""sha256 of all drawings as packed bits."""

# In per cent. Omniglot's usual split of characters is 1028 : 172 : 423 (Vinyals et al. 2016).
_SHARES: dict[str, dict[Split, tuple[int, int]]] = {
    "mixed": {"train": (0, 63), "validation": (63, 74), "test": (74, 100)},
    "alphabets": {"train": (0, 60), "validation": (60, 74), "test": (74, 100)},
}


class Glyphs(ClassDataset):
    """Generated characters of generated alphabets, each drawn by twenty drawers; needs no files.

    Args:
        root: Accepted as by every data set, and ignored.
        split: ``"mixed"`` splits the characters of all alphabets in a fixed random order;
            ``"alphabets"`` splits whole alphabets, so that meta-test has only new scripts.

    Raises:
        UsageError: If there is no split of this name.
    """

    name: ClassVar[str] = "glyphs"
    version: ClassVar[str] = "1"
    input_shape: ClassVar[tuple[int, ...]] = (1, CANVAS, CANVAS)

    def __init__(self, root: Path | None = None, *, split: str = "mixed") -> None:
        super().__init__(root)
        if split not in _SHARES:
            raise UsageError(
                f"unknown glyphs split '{split}'.",
                hint=f"The splits are {', '.join(_SHARES)}.",
            )
        self.split = split

    def status(self) -> str:
        """See :class:`ClassDataset`; the drawings are generated."""
        return EMBEDDED

    def pool(self, split: Split) -> ClassPool:
        """Returns the drawings of one split: uint8 ``[classes, 20, 1, 28, 28]``, 255 for ink.

        Raises:
            DataError: If this machine renders different drawings from the benchmarked ones.
        """
        self.check_split(split)
        characters = _characters()
        alphabet, number = characters.alphabet, characters.number
        start, stop = _SHARES[self.split][split]
        if self.split == "mixed":
            order = _shuffled(len(alphabet))
            # Sorted, so that the classes of an alphabet stay together in the pool.
            chosen = np.sort(order[len(order) * start // 100 : len(order) * stop // 100])
        else:
            letters = _shuffled(ALPHABETS)[ALPHABETS * start // 100 : ALPHABETS * stop // 100]
            chosen = np.flatnonzero(np.isin(alphabet, letters))
        groups = tuple(f"alphabet{a + 1:02d}" for a in alphabet[chosen])
        names = tuple(
            f"{group}/character{n + 1:02d}" for group, n in zip(groups, number[chosen], strict=True)
        )
        images = torch.from_numpy(drawings()[chosen]).unsqueeze(2)
        return ClassPool(images, names, groups)


def drawings() -> NDArray[np.uint8]:
    """Returns all drawings, cached or rendered: uint8 ``[classes, 20, 28, 28]``.

    Raises:
        DataError: If this machine renders different drawings from the benchmarked ones.
    """
    shape = (len(_characters().alphabet), DRAWERS, CANVAS, CANVAS)
    path = cache_root() / f"glyphs-{Glyphs.version}-{DIGEST[:12]}.bin"
    packed = cache.load(path)
    if packed is None or _digest(packed) != DIGEST:
        # Packed to one bit per pixel: 2.6 MB instead of 21.
        packed = np.packbits(render(_characters()) == INK)  # takes about a second
        if (found := _digest(packed)) != DIGEST:
            raise DataError(
                f"the glyphs rendered here have the digest {found[:12]}, not {DIGEST[:12]}.",
                hint="Integer arithmetic gives the same everywhere; please report your NumPy "
                "version.",
            )
        cache.save(path, packed)
    unpacked: NDArray[np.uint8] = np.unpackbits(packed).reshape(shape) * np.uint8(INK)
    return unpacked


@lru_cache(maxsize=1)
def _characters() -> Characters:
    return make_characters()


def _digest(packed: NDArray[np.uint8]) -> str:
    return hashlib.sha256(packed.tobytes()).hexdigest()


def _shuffled(n: int) -> Ints:
    """Returns the integers below ``n`` in a fixed random order."""
    return np.argsort(bits("split", np.arange(n)), kind="stable")
