"""The drawers: twenty hands to each alphabet, each with its own slant, size, pen and care."""

from __future__ import annotations

import numpy as np

from metabench.datasets.glyphs.noise import Ints, bell, between
from metabench.datasets.glyphs.strokes import MAX_STROKES, POINTS, UNIT, Characters

DRAWERS = 20
CANVAS = 28
"""Pixels on a side of an image."""
ONE = 1024
"""The fixed-point one of the linear maps."""

# Standard deviations: of lengths in 1/64 pixel, of maps in 1/1024. A hand's are drawn once for an alphabet
# and drawer, the others for every image. Those of strokes are multiplied by how careless the hand is.
HAND_SIZE, HAND_ASPECT, HAND_SLANT, HAND_SHIFT = 90, 60, 90, 60
SIZE, ASPECT, SLANT, TURN, SHIFT = 70, 55, 60, 60, 60
STROKE_SHIFT, END_SHIFT, BEND, WOBBLE = 36, 40, 32, 10
CARELESS = (28, 136)
"""The most careful and the most careless hand, in 1/64 of the strokes' standard deviations."""
PEN = (43, 52)
"""The finest and the broadest pen: its radius in 1/64 pixel."""


def draw(characters: Characters) -> tuple[Ints, Ints]:
    """Let every drawer draw every character.

    Returns:
        The control points on the canvas, in 1/64 pixel, ``[characters, DRAWERS, MAX_STROKES, POINTS, 2]``,
        and the radius of the pen, ``[characters, DRAWERS]``.
    """
    alphabet, number = characters.alphabet[:, None], characters.number[:, None]
    drawer = np.arange(DRAWERS)
    hand, image = (alphabet, drawer), (alphabet, number, drawer)
    careless = between(*CARELESS, "careless", *hand)
    points = _wander(characters.points[:, None], careless, image)

    size = ONE + bell(HAND_SIZE, "hand size", *hand) + bell(SIZE, "size", *image)
    aspect = bell(HAND_ASPECT, "hand aspect", *hand) + bell(ASPECT, "aspect", *image)
    slant = bell(HAND_SLANT, "hand slant", *hand) + bell(SLANT, "slant", *image)
    turn = bell(TURN, "turn", *image)
    matrix = np.stack([size + aspect, turn - slant, -turn, size - aspect], axis=-1).reshape(
        *size.shape, 2, 2
    )
    axis = np.arange(2)
    shift = bell(HAND_SHIFT, "hand shift", *(c[..., None] for c in hand), axis)
    shift = shift + bell(SHIFT, "shift", *(c[..., None] for c in image), axis)

    placed = (points[..., None, :] * matrix[:, :, None, None]).sum(axis=-1) // ONE
    placed += (shift + CANVAS * UNIT // 2)[:, :, None, None]
    return placed, between(*PEN, "pen", *hand) + np.zeros_like(size)


def _wander(points: Ints, careless: Ints, image: tuple[Ints, Ints, Ints]) -> Ints:
    """Move strokes, their ends, their bends and each control point, as much as the hand is careless."""
    scale = careless[..., None, None, None]
    stroke = tuple(c[..., None, None, None] for c in image)
    index = np.arange(MAX_STROKES)[:, None, None]
    point, axis = np.arange(POINTS)[:, None], np.arange(2)
    far = point * 2 - (POINTS - 1)
    hump = point * (POINTS - 1 - point)
    moves = (
        bell(STROKE_SHIFT, "stroke shift", *stroke, index, axis)
        + bell(END_SHIFT, "end shift", *stroke, index, axis) * far // (POINTS - 1)
        + bell(BEND, "hump", *stroke, index, axis) * hump // 12
        + bell(WOBBLE, "wobble", *stroke, index, point, axis)
    )
    wandered: Ints = points + moves * scale // UNIT
    return wandered
