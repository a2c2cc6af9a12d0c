"""A drawing as data: lines, paths and texts, which one template turns into SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Anchor = Literal["start", "middle", "end"]

COLOURS = 7
MARKERS: tuple[str, ...] = (
    "M{r} 0A{r} {r} 0 1 1 -{r} 0A{r} {r} 0 1 1 {r} 0Z",  # circle
    "M-{r} -{r}H{r}V{r}H-{r}Z",  # square
    "M0 -{b}L{b} {r}L-{b} {r}Z",  # triangle
    "M0 -{b}L{b} 0L0 {b}L-{b} 0Z",  # diamond
    "M0 {b}L{b} -{r}L-{b} -{r}Z",  # triangle upside down
    "M-{b} 0H{b}M0 -{b}V{b}",  # plus
    "M-{r} -{r}L{r} {r}M{r} -{r}L-{r} {r}",  # cross
    "M-{b} 0H{b}M0 -{b}V{b}M-{r} -{r}L{r} {r}M{r} -{r}L-{r} {r}",  # star
)
DASHES: tuple[str, ...] = ("", "6 3", "2 3", "8 3 2 3", "10 4")


@dataclass(frozen=True)
class Look:
    """How an algorithm looks: a colour, a marker and a dash, so that colour is never the only cue.

    Neighbours differ in all three, and the pairs of colour and marker repeat after 56 algorithms only.

    Args:
        style: the number of the algorithm.
    """

    style: int

    @property
    def colour(self) -> str:
        """The class that gives the colour, another one in dark mode."""
        return f"c{self.style % COLOURS}"

    @property
    def dash(self) -> str:
        """The dashes of its lines."""
        return DASHES[self.style % len(DASHES)]

    def marker(self, radius: float = 3.6) -> str:
        """The path of its marker around the origin."""
        return MARKERS[self.style % len(MARKERS)].format(r=place(radius), b=place(1.3 * radius))


@dataclass(frozen=True)
class Path:
    """A path.

    Attributes:
        d: SVG's path data.
        role: a class of the style sheet: ``line``, ``area``, ``marker``, ``grid``, ``axis``, ``front``.
        dash: dashes, or none.
        note: what a pointer that rests on it is told.
        move: where its origin is moved to: ``x y``.
    """

    d: str
    role: str
    dash: str = ""
    note: str = ""
    move: str = ""


@dataclass(frozen=True)
class Text:
    """A line of text."""

    x: float
    y: float
    text: str
    role: str = "tick"
    anchor: Anchor = "middle"
    turned: bool = False


@dataclass(frozen=True)
class Group:
    """The shapes of one algorithm, or of none."""

    shapes: tuple[Path | Text, ...]
    label: str = ""
    look: Look | None = None

    @property
    def paths(self) -> list[Path]:
        """The paths, which are drawn first."""
        return [s for s in self.shapes if isinstance(s, Path)]

    @property
    def texts(self) -> list[Text]:
        """The texts."""
        return [s for s in self.shapes if isinstance(s, Text)]


@dataclass(frozen=True)
class Table:
    """The numbers of a drawing."""

    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Drawing:
    """A chart, ready to be written.

    Attributes:
        name: unique in its section.
        title: one line.
        summary: the text alternative.
        caption: how to read it.
        width: in units of the drawing.
        height: in the same.
        groups: back to front.
        table: the numbers.
        legend: the algorithms with their looks, where the drawing does not name them.
    """

    name: str
    title: str
    summary: str
    caption: str
    width: float
    height: float
    groups: tuple[Group, ...]
    table: Table
    legend: tuple[tuple[str, Look], ...] = field(default=())


def place(value: float) -> str:
    """A coordinate in a path, short and always the same.

    >>> place(1.0), place(2.347), place(-0.001)
    ('1', '2.35', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def line(points: Sequence[tuple[float, float]]) -> str:
    """The path through some points."""
    return "M" + "L".join(f"{place(x)} {place(y)}" for x, y in points)
