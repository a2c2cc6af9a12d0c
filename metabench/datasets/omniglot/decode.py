"""Decode Omniglot's images: 105 x 105 pixels of one bit, resized to 28 x 28."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from metabench.datasets.omniglot.layout import DRAWERS, SIDE
from metabench.datasets.omniglot.source import Source
from metabench.errors import DataError

SMALL_SIDE = 28
"""Width and height of the images in a pool, in pixels."""


def decode_all(sources: Sequence[Source]) -> Iterable[Image.Image]:
    """Decode all images at full size: by half, then character, then drawer.

    Args:
        sources: The halves, in order.

    Yields:
        Images of 105 x 105 pixels of mode "1".

    Raises:
        DataError: If an image is missing, damaged or not one of Omniglot's.
    """
    for source in sources:
        for name, content in source.read_images():
            yield _decode(content, f"{source.path}: {name}", source.hint)


def _decode(content: bytes, name: str, hint: str) -> Image.Image:
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.size != (SIDE, SIDE):
                width, height = image.size
                raise DataError(
                    f"{name} is {width} x {height} pixels, not {SIDE} x {SIDE}.", hint=hint
                )
            bits = image.convert("1", dither=Image.Dither.NONE)
    except UnidentifiedImageError as error:
        raise DataError(f"{name} is not a PNG image.", hint=hint) from error
    # Pillow also raises SyntaxError and ValueError on a damaged PNG.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{name} is not a readable image: {error}.", hint=hint) from error
    ink = bits.histogram()[0]
    # Strokes are dark on white; an empty or an inverted image fails here.
    if not 0 < ink <= SIDE * SIDE // 2:
        raise DataError(
            f"{name} has {ink} dark pixels of {SIDE * SIDE}, but Omniglot has dark strokes on "
            "white.",
            hint=hint,
        )
    return bits


def small_stack(sources: Sequence[Source]) -> NDArray[np.uint8]:
    """Decode all images and resize them to 28 x 28, as the papers' scripts do.

    Args:
        sources: The halves, in order.

    Returns:
        uint8 ``[characters, 20, 28, 28]``, 255 where there is ink and 0 elsewhere.

    Raises:
        DataError: If an image is missing, damaged or not one of Omniglot's.
    """
    # The scripts ask Pillow for a smooth filter, which it does not apply to images of one bit: it
    # takes the nearest pixel.
    small = [
        ~np.asarray(image.resize((SMALL_SIDE, SMALL_SIDE), Image.Resampling.NEAREST), dtype=bool)
        for image in decode_all(sources)
    ]
    ink = np.stack(small).astype(np.uint8).reshape(-1, DRAWERS, SMALL_SIDE, SMALL_SIDE)
    return ink * np.uint8(255)


def content_digest(sources: Sequence[Source]) -> str:
    """Returns the sha256 of all pixels at full size, whether zipped or unpacked.

    Args:
        sources: The halves, in order.

    Returns:
        The digest over the images by half, character and drawer, each as 105 rows of 14 bytes
        with the first pixel in the highest bit, 0 where there is ink.

    Raises:
        DataError: If an image is missing, damaged or not one of Omniglot's.
    """
    h = hashlib.sha256()
    for image in decode_all(sources):
        h.update(image.tobytes())
    return h.hexdigest()
