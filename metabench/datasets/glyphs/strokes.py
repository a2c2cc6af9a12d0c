"""Generate characters: the style of each alphabet, and the strokes of its characters.

A stroke is one of 13 shapes (line, arc, hook, loop, ...) between two anchor points. Each alphabet
has its own frequencies of shapes, bend, roundness, number of strokes and anchor positions, so that
its characters look related, as in real scripts. All numbers are integers: lengths in 1/64 pixel,
shapes in 1/64 of the distance between the anchors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metabench.datasets.glyphs.random_ints import below, between
from metabench.runtime.counter_rng import Ints

ALPHABETS = 44
MIN_CHARACTERS, MAX_CHARACTERS = 15, 45
MAX_STROKES = 4
POINTS = 8
"""Control points per stroke."""
SMALLEST, LARGEST = 640, 1216
"""Range of a character's longer side, in 1/64 pixel."""
UNIT = 64
"""One pixel; also 1.0 in the fixed-point format of shapes, bends and scales."""
ROUNDEST = 16

# Each shape starts at (0, 0); the first coordinate is along the line between the anchors, the
# second across it.
SHAPES = {
    "line": [(0, 0), (9, 0), (18, 0), (27, 0), (37, 0), (46, 0), (55, 0), (64, 0)],
    "arc": [(0, 0), (4, 24), (14, 42), (26, 50), (38, 50), (50, 42), (60, 24), (64, 0)],
    "hook": [(0, 0), (14, 0), (28, 0), (42, 0), (56, 4), (64, 16), (60, 30), (48, 34)],
    "corner": [(0, 0), (21, 0), (43, 0), (64, 0), (64, 0), (64, 21), (64, 43), (64, 64)],
    "wedge": [(0, 0), (11, 21), (21, 43), (32, 64), (32, 64), (43, 43), (53, 21), (64, 0)],
    "wave": [(0, 0), (9, 24), (18, 32), (28, 14), (36, -14), (46, -32), (55, -24), (64, 0)],
    "zigzag": [(0, 0), (11, 32), (21, 44), (32, 0), (32, 0), (43, -44), (53, -22), (64, 0)],
    "cup": [(0, 0), (0, 30), (0, 58), (16, 64), (48, 64), (64, 58), (64, 30), (64, 0)],
    "ring": [(0, 0), (10, 26), (32, 38), (56, 26), (64, 0), (52, -28), (28, -36), (2, -4)],
    "loop": [(0, 0), (24, 4), (48, 10), (64, 0), (60, -18), (42, -20), (38, 0), (50, 24)],
    "crook": [(0, 0), (2, 22), (20, 34), (38, 22), (40, 0), (34, -22), (46, -40), (64, -40)],
    "step": [(0, 0), (16, 0), (30, 0), (32, 20), (32, 44), (36, 60), (50, 64), (64, 64)],
    "dot": [(0, 0), (2, 1), (3, 3), (1, 4), (0, 3), (0, 1), (1, 0), (3, 2)],
}


@dataclass(frozen=True)
class Characters:
    """The characters before any drawer varies them.

    Args:
        alphabet: Alphabet of each character, ``[characters]``.
        number: Number of each character in its alphabet, ``[characters]``.
        strokes: Number of strokes, ``[characters]``.
        points: Control points of the strokes relative to the centre, in 1/64 pixel,
            ``[characters, MAX_STROKES, POINTS, 2]``.
        roundness: From 0 for polylines to ``ROUNDEST`` for smooth curves, ``[characters]``.
    """

    alphabet: Ints
    number: Ints
    strokes: Ints
    points: Ints
    roundness: Ints


def make_characters() -> Characters:
    """Generate every character of every alphabet."""
    letters = np.arange(ALPHABETS)
    sizes = between(MIN_CHARACTERS, MAX_CHARACTERS, "alphabet size", letters)
    alphabet = np.repeat(letters, sizes)
    number = np.concatenate([np.arange(size) for size in sizes])
    usual = between(1, 3, "usual strokes", alphabet)
    strokes = np.clip(usual + between(-1, 2, "strokes", alphabet, number), 1, MAX_STROKES)
    points = _fit(_points(alphabet, number), strokes)
    return Characters(alphabet, number, strokes, points, _roundness(alphabet, number))


def _fit(points: Ints, strokes: Ints) -> Ints:
    """Centre each character and scale its longer side into the allowed range."""
    used = (np.arange(MAX_STROKES) < strokes[:, None])[..., None, None]
    low = np.where(used, points, points.max()).min(axis=(1, 2))
    high = np.where(used, points, points.min()).max(axis=(1, 2))
    mean = (points * used).sum(axis=(1, 2)) // (strokes * POINTS)[:, None]
    # Halfway between the centre of the bounding box and the centre of mass.
    centre = (low + high + 2 * mean) // 4
    side = (high - low).max(axis=-1)
    target = np.clip(side, SMALLEST, LARGEST)
    fitted: Ints = (
        (points - centre[:, None, None]) * target[:, None, None, None] // side[:, None, None, None]
    )
    return fitted


def _roundness(alphabet: Ints, number: Ints) -> Ints:
    usual = between(-6, 22, "alphabet roundness", alphabet)
    roundness: Ints = np.clip(usual + between(-4, 4, "roundness", alphabet, number), 0, ROUNDEST)
    return roundness


def _points(alphabet: Ints, number: Ints) -> Ints:
    """Returns the strokes; each starts at an anchor or on the previous stroke."""
    shapes = np.array(list(SHAPES.values()), dtype=np.int64)
    points = np.zeros((len(alphabet), MAX_STROKES, POINTS, 2), dtype=np.int64)
    everyone = np.arange(len(alphabet))
    for stroke in range(MAX_STROKES):
        which = (alphabet, number, np.array(stroke))
        here = below(9, "here", *which)
        start, end = _anchor(alphabet, here), _anchor(alphabet, _goal(here, *which))
        # A stroke may start on the previous one instead of at its own anchor.
        if stroke:
            joined = below(100, "joined", *which) < between(40, 90, "joins", alphabet)
            joint = points[everyone, stroke - 1, below(POINTS, "joint", *which)]
            moved = np.where(joined[:, None], joint - start, 0)
            start, end = start + moved, end + moved
        shape = shapes[_shape(*which)]
        bend = between(24, 60, "bend", *which) * (2 * below(2, "side", *which) - 1)
        points[:, stroke] = _place(shape, bend, start, end)
    return points


def _goal(here: Ints, alphabet: Ints, number: Ints, stroke: Ints) -> Ints:
    """Returns another cell of the 3 x 3 grid, mostly in the same row or column, as in scripts."""
    which = (alphabet, number, stroke)
    on = 1 + below(2, "there", *which)
    row, column = here // 3, here % 3
    straight = np.where(
        below(2, "upright", *which) == 1, (row + on) % 3 * 3 + column, row * 3 + (column + on) % 3
    )
    slanted = (row + on) % 3 * 3 + (column + 1 + below(2, "aside", *which)) % 3
    upright = below(100, "straight", *which) < between(50, 90, "straightness", alphabet)
    goal: Ints = np.where(upright, straight, slanted)
    return goal


def _place(shape: Ints, bend: Ints, start: Ints, end: Ints) -> Ints:
    """Map shapes ``[n, POINTS, 2]`` onto anchors ``[n, 2]``, scaled across by ``bend / UNIT``."""
    along = (end - start)[:, None]
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    offset = shape[..., :1] * along + shape[..., 1:] * bend[:, None, None] * across // UNIT
    placed: Ints = start[:, None] + offset // UNIT
    return placed


def _anchor(alphabet: Ints, place: Ints) -> Ints:
    """Returns the coordinates of grid cells 0 to 8 in each alphabet, ``[characters, 2]``."""
    columns = []
    for axis, cell in enumerate((place % 3, place // 3)):
        half = between(330, 560, "half size", alphabet, np.array(axis))
        off = between(-40, 40, "grid", alphabet, place, np.array(axis))
        columns.append((cell - 1) * half + off)
    return np.stack(columns, axis=-1)


def _shape(alphabet: Ints, number: Ints, stroke: Ints) -> Ints:
    """Draw the shape of a stroke by its alphabet's frequencies, ``[characters]``."""
    kinds = np.arange(len(SHAPES))
    # Squared, so that an alphabet has a few frequent shapes and many rare ones.
    weights = below(32, "liking", alphabet[:, None], kinds) ** 2
    cumulative = weights.cumsum(axis=1)
    drawn = below(cumulative[:, -1], "shape", alphabet, number, stroke)
    shape: Ints = (drawn[:, None] >= cumulative).sum(axis=1)
    return shape
