"""A contact sheet of a data set: one row per class, one column per example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from metabench.datasets.base import ClassPool

_GAP = 1
_GREY = 200


def contact_sheet(
    pool: ClassPool, path: Path, *, rows: int = 24, columns: int = 20, scale: int = 1
) -> None:
    """Write a PNG of classes evenly spread over a pool, with dark ink on white.

    Args:
        pool: Images ``[classes, examples, 1, height, width]``.
        path: The file to write.
        rows: Classes to show.
        columns: Examples to show of each class.
        scale: Screen pixels per pixel of an image.
    """
    chosen = np.linspace(0, pool.classes * pool.variants - 1, min(rows, pool.classes)).astype(int)
    images = 255 - pool.images[chosen, :columns, 0].cpu().numpy()
    edge = ((0, 0), (0, 0), (_GAP, _GAP), (_GAP, _GAP))
    tiles = np.pad(images, edge, constant_values=_GREY)
    down, across, height, width = tiles.shape
    sheet = tiles.transpose(0, 2, 1, 3).reshape(down * height, across * width)
    Image.fromarray(sheet.repeat(scale, axis=0).repeat(scale, axis=1)).save(
        path, format="PNG", optimize=True
    )
