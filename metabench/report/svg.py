"""Draw charts as SVG: shapes as data, which a template writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from metabench.report.figure import Figure, Point
from metabench.report.layout import Layer, Layout, lay_out
from metabench.report.scales import Scale
from metabench.report.styles import Style, coordinate
from metabench.report.values import format_number
from metabench.utils.text import counted

Anchor = Literal["start", "middle", "end"]

# User units: a phone of 360 pixels shows a chart at 0.7 of its size, with legible texts.
WIDTH, HEIGHT = 440.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 54.0, 10.0, 10.0, 46.0
_MOST_ROWS = 400  # of the table of numbers
_FARTHEST = 10.0  # of the height of the chart


@dataclass(frozen=True)
class Path:
    """A path.

    Attributes:
        d: The path data.
        role: The class in the style sheet.
        dashes: The dashes of the line.
        note: The tooltip.
        move: The translation of its origin: ``x y``.
    """

    d: str
    role: str
    dashes: tuple[int, ...] = ()
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
    rotated: bool = False


@dataclass(frozen=True)
class Group:
    """The shapes of one algorithm, or of the frame.

    Attributes:
        shapes: The shapes.
        label: The algorithm.
        style: Its style.
    """

    shapes: Sequence[Path | Text]
    label: str = ""
    style: Style | None = None

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
    """A chart that a template writes as SVG.

    Attributes:
        name: Unique in its benchmark.
        title: One line.
        summary: The text alternative.
        caption: How to read it.
        width: In user units.
        height: In user units.
        groups: Back to front.
        table: The numbers.
        legend: The algorithms with their styles, unless the chart labels them.
        clip: The rectangle to which the algorithms' groups are clipped: x, y, width and height.
    """

    name: str
    title: str
    summary: str
    caption: str
    width: float
    height: float
    groups: tuple[Group, ...]
    table: Table
    legend: tuple[tuple[str, Style], ...] = ()
    clip: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Horizontal:
    """The positions of a scale between two horizontal coordinates."""

    scale: Scale
    start: float = LEFT
    end: float = WIDTH - RIGHT

    def __call__(self, value: float) -> float:
        """Returns the coordinate of a number."""
        return self.start + (self.end - self.start) * self.scale(value)

    def axis(self, top: float, bottom: float) -> list[Path | Text]:
        """Returns the axis at the bottom, with ticks, labels and grid lines up to the top."""
        shapes: list[Path | Text] = []
        for tick, text in zip(self.scale.ticks, self.scale.labels, strict=True):
            x = self(tick)
            shapes.append(Path(line([(x, top), (x, bottom)]), "grid"))
            if text:
                shapes.append(Text(x, bottom + 16, text))
        shapes.append(Path(line([(self.start, bottom), (self.end, bottom)]), "axis"))
        middle = (self.start + self.end) / 2
        shapes.append(Text(middle, bottom + 36, self.scale.axis.label, "label"))
        return shapes


def draw(figure: Figure) -> Drawing:
    """Draw a figure with at least one point."""
    layout = lay_out(figure)
    x = Horizontal(layout.x)
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    groups = [Group([*x.axis(TOP, bottom), *_vertical_axis(layout.y)])]
    if layout.front:
        front = line([_position(layout, p) for p in layout.front])
        groups.append(Group([Path(front, "front", note="Pareto front")]))
    groups += [_group(layer, layout) for layer in layout.layers]
    caption = figure.caption
    if layout.outside:
        points = counted(layout.outside, "diverged point")
        verb = "is" if layout.outside == 1 else "are"
        caption += f" {points} {verb} outside the chart; see the numbers."
    return Drawing(
        figure.name,
        figure.title,
        figure.summary,
        caption,
        WIDTH,
        HEIGHT,
        tuple(groups),
        _table(figure),
        tuple((s.label, Style(s.style)) for s in figure.series),
        (LEFT, TOP, right - LEFT, bottom - TOP),
    )


def line(points: Sequence[tuple[float, float]]) -> str:
    """Returns the path through some points."""
    return "M" + "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points)


def marker(style: Style, x: float, y: float, note: str, radius: float = 3.6) -> Path:
    """Returns a marker with a tooltip."""
    move = f"{coordinate(x)} {coordinate(y)}"
    return Path(style.marker_path(radius), "marker", note=note, move=move)


def _position(layout: Layout, point: Point) -> tuple[float, float]:
    return Horizontal(layout.x)(point.x), _vertical(layout.y, point.y)


def _vertical(scale: Scale, value: float) -> float:
    # Browsers draw no dashes on a path that leads millions of units out of the chart.
    position = min(max(scale(value), -_FARTHEST), _FARTHEST)
    bottom = HEIGHT - BOTTOM
    return bottom + (TOP - bottom) * position


def _vertical_axis(scale: Scale) -> list[Path | Text]:
    shapes: list[Path | Text] = []
    for tick, text in zip(scale.ticks, scale.labels, strict=True):
        y = _vertical(scale, tick)
        shapes.append(Path(line([(LEFT, y), (WIDTH - RIGHT, y)]), "grid"))
        shapes.append(Text(LEFT - 6, y + 4, text, anchor="end"))
    bottom = HEIGHT - BOTTOM
    shapes.append(Path(line([(LEFT, TOP), (LEFT, bottom)]), "axis"))
    shapes.append(Text(12, (TOP + bottom) / 2, scale.axis.label, "label", rotated=True))
    return shapes


def _group(layer: Layer, layout: Layout) -> Group:
    figure, series = layout.figure, layer.series
    style = Style(series.style)
    shapes: list[Path | Text] = []
    if layer.band:  # along the upper ends and back along the lower ones
        outline = [*_ends(layer.band, layout, "high"), *reversed(_ends(layer.band, layout, "low"))]
        shapes.append(Path(line(outline) + "Z", "area"))
    whiskers = (_ends(layer.whiskers, layout, end) for end in ("low", "high"))
    shapes += [Path(line(ends), "whisker") for ends in zip(*whiskers, strict=True)]
    if layer.line:
        joined = line([_position(layout, p) for p in layer.line])
        shapes.append(Path(joined, "line", style.dashes))
    for p in layer.markers:
        x, y = _formatted(figure, p.x, p.y)
        note = f"{series.label}: {figure.y.label} {y} at {figure.x.label} {x}"
        radius = 3.6 if figure.joined else 5  # larger where no line leads the eye
        shapes.append(marker(style, *_position(layout, p), note, radius))
    return Group(shapes, series.label, style)


def _ends(points: Sequence[Point], layout: Layout, end: str) -> list[tuple[float, float]]:
    return [_position(layout, Point(p.x, getattr(p, end))) for p in points]


def _formatted(figure: Figure, x: float, *ys: float | None) -> tuple[str, ...]:
    first = format_number(x, percent=figure.x.percent)
    return first, *(format_number(y, percent=figure.y.percent) for y in ys)


def _table(figure: Figure) -> Table:
    banded = any(p.low is not None for s in figure.series for p in s.points)
    rows = tuple(
        (s.label, *_formatted(figure, p.x, *((p.y, p.low, p.high) if banded else (p.y,))))
        for s in figure.series
        for p in s.points
    )
    heading = ("algorithm", figure.x.label, figure.y.label, *(("from", "to") if banded else ()))
    return Table(heading, rows[:_MOST_ROWS])
