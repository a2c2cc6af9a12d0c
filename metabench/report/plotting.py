"""Draw a figure of curves or points."""

from __future__ import annotations

from metabench.report.drawing import Drawing, Group, Look, Path, Table, Text, line, place
from metabench.report.figure import Figure, Series, show
from metabench.report.scales import Scale, scale_of, tick_text

WIDTH, HEIGHT = 440.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 54.0, 10.0, 10.0, 46.0
_MOST_ROWS = 400
_NEAREST_TICKS = 26.0


def draw(figure: Figure) -> Drawing:
    """Lay a figure out.

    Args:
        figure: with at least one point.
    """
    points = [p for s in figure.series for p in s.points]
    x = scale_of(figure.x, [p.x for p in points], LEFT, WIDTH - RIGHT)
    heights = [v for p in points for v in (p.y, p.low, p.high) if v is not None]
    y = scale_of(figure.y, heights, HEIGHT - BOTTOM, TOP)
    groups = [_axes(figure, x, y)]
    if len(figure.front) > 1:
        front = line([(x(p.x), y(p.y)) for p in figure.front])
        groups.append(Group((Path(front, "front", note="Pareto front"),)))
    # The best algorithm comes first, and is drawn last: over the others.
    groups += [_series(s, figure, x, y) for s in reversed(figure.series)]
    return Drawing(
        figure.name,
        figure.title,
        figure.summary,
        figure.caption,
        WIDTH,
        HEIGHT,
        tuple(groups),
        _table(figure),
        tuple((s.label, Look(s.style)) for s in figure.series),
    )


def _axes(figure: Figure, x: Scale, y: Scale) -> Group:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    shapes: list[Path | Text] = []
    last = -_NEAREST_TICKS
    for tick in x.ticks:
        at = x(tick)
        shapes.append(Path(line([(at, TOP), (at, bottom)]), "grid"))
        if at - last >= _NEAREST_TICKS:
            shapes.append(Text(at, bottom + 16, tick_text(tick, percent=figure.x.percent)))
            last = at
    for tick in y.ticks:
        at = y(tick)
        shapes.append(Path(line([(LEFT, at), (right, at)]), "grid"))
        shapes.append(
            Text(LEFT - 6, at + 4, tick_text(tick, percent=figure.y.percent), anchor="end")
        )
    shapes.append(Path(line([(LEFT, TOP), (LEFT, bottom), (right, bottom)]), "axis"))
    shapes.append(Text((LEFT + right) / 2, HEIGHT - 10, figure.x.label, "label"))
    shapes.append(Text(12, (TOP + bottom) / 2, figure.y.label, "label", turned=True))
    return Group(tuple(shapes))


def _series(series: Series, figure: Figure, x: Scale, y: Scale) -> Group:
    look = Look(series.style)
    shapes: list[Path | Text] = []
    bands = [
        (x(p.x), y(p.low), y(p.high))
        for p in series.points
        if p.low is not None and p.high is not None
    ]
    if figure.joined and len(bands) > 1:
        outline = [(at, high) for at, _, high in bands] + [
            (at, low) for at, low, _ in reversed(bands)
        ]
        shapes.append(Path(line(outline) + "Z", "area"))
    else:
        shapes += [Path(line([(at, low), (at, high)]), "whisker") for at, low, high in bands]
    if figure.joined and len(series.points) > 1:
        shapes.append(Path(line([(x(p.x), y(p.y)) for p in series.points]), "line", look.dash))
    for p in series.points:
        at_x, at_y = show(p.x, percent=figure.x.percent), show(p.y, percent=figure.y.percent)
        note = f"{series.label}: {figure.y.label} {at_y} at {figure.x.label} {at_x}"
        move = f"{place(x(p.x))} {place(y(p.y))}"
        shapes.append(
            Path(look.marker(3.6 if figure.joined else 5), "marker", note=note, move=move)
        )
    return Group(tuple(shapes), series.label, look)


def _table(figure: Figure) -> Table:
    banded = any(p.low is not None for s in figure.series for p in s.points)
    rows = []
    for s in figure.series:
        for p in s.points:
            row = (
                s.label,
                show(p.x, percent=figure.x.percent),
                show(p.y, percent=figure.y.percent),
            )
            band = (
                tuple(show(v, percent=figure.y.percent) for v in (p.low, p.high)) if banded else ()
            )
            rows.append(row + band)
    heading = ("algorithm", figure.x.label, figure.y.label, *(("from", "to") if banded else ()))
    return Table(heading, tuple(rows[:_MOST_ROWS]))
