"""Rasterise control points in exact integer arithmetic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metabench.datasets.glyphs.drawers import CANVAS, DRAWERS, draw
from metabench.datasets.glyphs.strokes import POINTS, ROUNDEST, UNIT, Characters
from metabench.runtime.counter_rng import Ints

INK = 255
_STEPS = 8
"""Path points between two control points."""
_WHOLE = 2 * _STEPS**3 * ROUNDEST
"""Sum of the weights of a path point."""
_MARGIN = 2
"""Pixels added around the canvas, for ink outside of it."""


def render(characters: Characters) -> NDArray[np.uint8]:
    """Render every character by every drawer.

    Returns:
        uint8 ``[characters, DRAWERS, CANVAS, CANVAS]``, 255 where there is ink and 0 elsewhere.
    """
    images = np.empty((len(characters.alphabet), DRAWERS, CANVAS, CANVAS), dtype=np.uint8)
    points, pen = draw(characters)
    weights = np.stack([_curve(roundness) for roundness in range(ROUNDEST + 1)])
    for index, strokes in enumerate(characters.strokes):
        control = points[index, :, :strokes].reshape(DRAWERS, strokes, POINTS, 2)
        # Integers below 2**53: float64 sums them exactly in any order, so BLAS cannot change bits.
        path = weights[characters.roundness[index]] @ control.astype(np.float64)
        images[index] = _ink(path.astype(np.int64).reshape(DRAWERS, -1, 2) // _WHOLE, pen[index])
    return images


def _curve(roundness: int) -> NDArray[np.float64]:
    """Returns the weights of the control points in each path point, times ``_WHOLE``.

    A weighted mean of the polyline and the Catmull-Rom spline through the control points.

    Args:
        roundness: Weight of the spline, 0 to ``ROUNDEST``.

    Returns:
        ``[path, POINTS]``.
    """
    weights = np.zeros((_STEPS * (POINTS - 1) + 1, POINTS))
    one = _STEPS**3
    for row, (segment, t) in enumerate((s, t) for s in range(POINTS - 1) for t in range(_STEPS)):
        t1, t2, t3 = t * _STEPS**2, t * t * _STEPS, t * t * t
        spline = (2 * t2 - t1 - t3, 2 * one - 5 * t2 + 3 * t3, t1 + 4 * t2 - 3 * t3, t3 - t2)
        polyline = (0, 2 * (one - t1), 2 * t1, 0)
        for k, (smooth, straight) in enumerate(zip(spline, polyline, strict=True)):
            point = min(max(segment - 1 + k, 0), POINTS - 1)
            weights[row, point] += roundness * smooth + (ROUNDEST - roundness) * straight
    weights[-1, -1] = _WHOLE
    return weights


def _ink(path: Ints, pen: Ints) -> NDArray[np.uint8]:
    """Ink each pixel whose centre is within the pen's radius of a path point.

    Args:
        path: Points in 1/64 pixel, ``[drawings, points, 2]``.
        pen: The pen's radius, below one pixel, ``[drawings]``.

    Returns:
        uint8 ``[drawings, CANVAS, CANVAS]``.
    """
    side = CANVAS + 2 * _MARGIN
    path = np.clip(path + _MARGIN * UNIT, UNIT, (side - 1) * UNIT)
    corner = (path - UNIT // 2) // UNIT
    off = path - UNIT // 2 - corner * UNIT
    images = np.zeros(len(path) * side * side, dtype=np.uint8)
    base = (np.arange(len(path))[:, None] * side + corner[..., 1]) * side + corner[..., 0]
    reach = (pen * pen)[:, None]
    # A radius below one pixel reaches no centre but the four around the point.
    for down in range(2):
        for right in range(2):
            square = (off[..., 0] - right * UNIT) ** 2 + (off[..., 1] - down * UNIT) ** 2
            images[(base + down * side + right)[square <= reach]] = INK
    inner = slice(_MARGIN, _MARGIN + CANVAS)
    return images.reshape(len(path), side, side)[:, inner, inner]
