"""The data set: made once, kept in the cache, divided into splits."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from metabench.datasets.base import ClassDataset, ClassPool, Split, cache_root
from metabench.datasets.glyphs.drawers import CANVAS, DRAWERS
from metabench.datasets.glyphs.noise import Ints, bits
from metabench.datasets.glyphs.render import INK, render
from metabench.datasets.glyphs.strokes import ALPHABETS, Characters, make_characters
from metabench.errors import DataError, UsageError

DIGEST = "34e8718930db623c21fcb1ba6e7c782943597ef362685f29d656a031f9c2c51b"
"""The sha256 of all drawings as packed bits: what the generator must give, and a cache must hold."""

# In hundredths. Omniglot's usual split of characters is 1028 : 172 : 423 (Vinyals et al. 2016).
_SHARES: dict[str, dict[Split, tuple[int, int]]] = {
    "mixed": {"train": (0, 63), "validation": (63, 74), "test": (74, 100)},
    "alphabets": {"train": (0, 60), "validation": (60, 74), "test": (74, 100)},
}


class Glyphs(ClassDataset):
    """Invented characters of invented alphabets, drawn by twenty hands each; needs no files.

    Args:
        root: taken for the sake of likeness with other data sets; nothing is read from it.
        split: ``"mixed"`` divides the characters of all alphabets at random (and the same way always);
            ``"alphabets"`` divides whole alphabets, so that meta-test shows only unknown scripts.

    Raises:
        UsageError: there is no such way to split.
    """

    name: ClassVar[str] = "glyphs"
    version: ClassVar[str] = "1"
    input_shape: ClassVar[tuple[int, ...]] = (1, CANVAS, CANVAS)

    def __init__(self, root: Path | None = None, *, split: str = "mixed") -> None:
        super().__init__(root)
        if split not in _SHARES:
            raise UsageError(
                f"glyphs cannot be split by '{split}'.",
                hint=f"The option split is one of {', '.join(_SHARES)}.",
            )
        self.split = split

    def pool(self, split: Split) -> ClassPool:
        """The drawings of one split: uint8 ``[classes, 20, 1, 28, 28]``, ink = 255, paper = 0.

        Raises:
            DataError: this machine makes other drawings than those that are benchmarked.
        """
        self.check_split(split)
        characters = _characters()
        alphabet, number = characters.alphabet, characters.number
        start, stop = _SHARES[self.split][split]
        if self.split == "mixed":
            order = _shuffled(len(alphabet))
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
    """All drawings, from the cache or made anew: uint8 ``[classes, 20, 28, 28]``.

    Raises:
        DataError: this machine makes other drawings than those that are benchmarked.
    """
    shape = (len(_characters().alphabet), DRAWERS, CANVAS, CANVAS)
    path = cache_root() / f"glyphs-{Glyphs.version}-{DIGEST[:12]}.bin"
    packed = _stored(path)
    if packed is None:
        packed = np.packbits(render(_characters()) == INK).tobytes()
        if (made := hashlib.sha256(packed).hexdigest()) != DIGEST:
            raise DataError(
                f"the glyphs made here have the digest {made[:12]}, not {DIGEST[:12]}.",
                hint="They are integer arithmetic, the same everywhere: please report your numpy version.",
            )
        _store(path, packed)
    return np.unpackbits(np.frombuffer(packed, dtype=np.uint8)).reshape(shape) * np.uint8(INK)


@lru_cache(maxsize=1)
def _characters() -> Characters:
    return make_characters()


def _shuffled(n: int) -> Ints:
    """The numbers below ``n`` in an order that is always the same."""
    return np.argsort(bits("split", np.arange(n)), kind="stable")


def _stored(path: Path) -> bytes | None:
    """What the cache holds, or None where that is nothing, or not the drawings."""
    try:
        packed = path.read_bytes()
    except OSError:
        return None
    return packed if hashlib.sha256(packed).hexdigest() == DIGEST else None


def _store(path: Path, packed: bytes) -> None:
    """Write the cache file in one step; a folder that cannot be written means no cache."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
            partial = Path(file.name)
            try:
                file.write(packed)
                file.close()
                partial.replace(path)
            except OSError:
                partial.unlink(missing_ok=True)
