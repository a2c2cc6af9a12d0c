"""Twenty drawers per alphabet, each with a handwriting: slant, size, pen and carelessness."""

from __future__ import annotations

import numpy as np

from metabench.datasets.glyphs.random_ints import approx_normal, between
from metabench.datasets.glyphs.strokes import MAX_STROKES, POINTS, UNIT, Characters
from metabench.runtime.counter_rng import Ints

DRAWERS = 20
CANVAS = 28
"""Width and height of an image, in pixels."""
ONE = 1024
"""1.0 in the fixed-point format of the linear maps."""

# Standard deviations, of lengths in 1/64 pixel and of maps in 1/1024: HAND_* is drawn once per
# alphabet and drawer, the others per image; those of strokes are scaled by the carelessness. All
# were calibrated on Omniglot; see the package's docstring.
HAND_SIZE, HAND_ASPECT, HAND_SLANT, HAND_SHIFT = 90, 60, 90, 60
SIZE, ASPECT, SLANT, TURN, SHIFT = 70, 55, 60, 60, 60
STROKE_SHIFT, END_SHIFT, BEND, WOBBLE = 36, 40, 32, 10
CARELESS = (28, 136)
"""Range of carelessness, the scale of the strokes' standard deviations, in 1/64."""
PEN = (43, 52)
"""Range of the pen's radius, in 1/64 pixel."""


def draw(characters: Characters) -> tuple[Ints, Ints]:
    """Draw every character once by every drawer.

    Returns:
        The control points on the canvas, in 1/64 pixel,
        ``[characters, DRAWERS, MAX_STROKES, POINTS, 2]``, and the pen's radius,
        ``[characters, DRAWERS]``.
    """
    alphabet, number = characters.alphabet[:, None], characters.number[:, None]
    drawer = np.arange(DRAWERS)
    hand, image = (alphabet, drawer), (alphabet, number, drawer)
    careless = between(*CARELESS, "careless", *hand)
    points = _perturb(characters.points[:, None], careless, image)

    size = ONE + approx_normal(HAND_SIZE, "hand size", *hand) + approx_normal(SIZE, "size", *image)
    aspect = approx_normal(HAND_ASPECT, "hand aspect", *hand) + approx_normal(
        ASPECT, "aspect", *image
    )
    slant = approx_normal(HAND_SLANT, "hand slant", *hand) + approx_normal(SLANT, "slant", *image)
    turn = approx_normal(TURN, "turn", *image)
    matrix = np.stack([size + aspect, turn - slant, -turn, size - aspect], axis=-1).reshape(
        *size.shape, 2, 2
    )
    axis = np.arange(2)
    shift = approx_normal(HAND_SHIFT, "hand shift", *(c[..., None] for c in hand), axis)
    shift = shift + approx_normal(SHIFT, "shift", *(c[..., None] for c in image), axis)

    placed = (points[..., None, :] * matrix[:, :, None, None]).sum(axis=-1) // ONE
    placed += (shift + CANVAS * UNIT // 2)[:, :, None, None]
    return placed, between(*PEN, "pen", *hand) + np.zeros_like(size)


def _perturb(points: Ints, careless: Ints, image: tuple[Ints, Ints, Ints]) -> Ints:
    """Move strokes, their ends, bends and control points, scaled by the carelessness."""
    scale = careless[..., None, None, None]
    stroke = tuple(c[..., None, None, None] for c in image)
    index = np.arange(MAX_STROKES)[:, None, None]
    point, axis = np.arange(POINTS)[:, None], np.arange(2)
    # From -(POINTS - 1) at the start of a stroke to POINTS - 1 at its end: a rotation.
    far = point * 2 - (POINTS - 1)
    # 0 at both ends and largest in the middle: a bend.
    hump = point * (POINTS - 1 - point)
    moves = (
        approx_normal(STROKE_SHIFT, "stroke shift", *stroke, index, axis)
        + approx_normal(END_SHIFT, "end shift", *stroke, index, axis) * far // (POINTS - 1)
        + approx_normal(BEND, "hump", *stroke, index, axis) * hump // 12
        + approx_normal(WOBBLE, "wobble", *stroke, index, point, axis)
    )
    perturbed: Ints = points + moves * scale // UNIT
    return perturbed
