"""The style of each algorithm: a colour, a marker and dashes, for the page and for papers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

COLOURS: tuple[tuple[str, str], ...] = (
    # On a light and on a dark background. Okabe and Ito's palette is distinguishable with any
    # colour vision; its blue is too dark for a dark background, where its yellow replaces it.
    ("#0072b2", "#f0e442"),
    ("#d55e00", "#f0722a"),
    ("#009e73", "#1fc295"),
    ("#cc79a7", "#e39cc4"),
    ("#e69f00", "#e69f00"),
    ("#56b4e9", "#56b4e9"),
    ("#000000", "#ffffff"),
)


class Marker(NamedTuple):
    """A marker: its SVG path around the origin, and its name in matplotlib.

    In the path ``{r}`` stands for the radius, and ``{b}`` for a larger one.
    """

    path: str
    name: str


MARKERS: tuple[Marker, ...] = (
    Marker("M{r} 0A{r} {r} 0 1 1 -{r} 0A{r} {r} 0 1 1 {r} 0Z", "o"),
    Marker("M-{r} -{r}H{r}V{r}H-{r}Z", "s"),
    Marker("M0 -{b}L{b} {r}L-{b} {r}Z", "^"),
    Marker("M0 -{b}L{b} 0L0 {b}L-{b} 0Z", "D"),
    Marker("M0 {b}L{b} -{r}L-{b} -{r}Z", "v"),
    Marker("M-{b} 0H{b}M0 -{b}V{b}", "+"),
    Marker("M-{r} -{r}L{r} {r}M{r} -{r}L-{r} {r}", "x"),
    Marker("M-{b} 0H{b}M0 -{b}V{b}M-{r} -{r}L{r} {r}M{r} -{r}L-{r} {r}", "*"),
)
DASHES: tuple[tuple[int, ...], ...] = ((), (6, 3), (2, 3), (8, 3, 2, 3), (10, 4))
"""The lengths of dashes and gaps; empty for a solid line."""


@dataclass(frozen=True)
class Style:
    """The style of an algorithm, so that colour is never the only cue.

    Neighbouring numbers differ in colour, marker and dashes. Pairs of colour and marker repeat
    after 56 numbers.

    Args:
        number: The number of the algorithm.
    """

    number: int

    # 7 colours, 8 markers and 5 dashes have no common divisor, so the combinations repeat late.

    @property
    def colour(self) -> int:
        """The index of its colour in :data:`COLOURS`."""
        return self.number % len(COLOURS)

    @property
    def marker(self) -> Marker:
        """Its marker."""
        return MARKERS[self.number % len(MARKERS)]

    @property
    def dashes(self) -> tuple[int, ...]:
        """The dashes of its lines."""
        return DASHES[self.number % len(DASHES)]

    def marker_path(self, radius: float = 3.6) -> str:
        """Returns the SVG path of its marker around the origin."""
        return self.marker.path.format(r=coordinate(radius), b=coordinate(1.3 * radius))


def colour_variables() -> str:
    """Returns the colours as CSS variables ``--c0``, ``--c1`` and so on."""
    light, dark = (
        "".join(f"--c{i}:{pair[mode]};" for i, pair in enumerate(COLOURS)) for mode in (0, 1)
    )
    return f":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def coordinate(value: float) -> str:
    """Returns a coordinate of an SVG path with two decimals at most.

    >>> coordinate(1.0), coordinate(2.347), coordinate(-0.001)
    ('1', '2.35', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
