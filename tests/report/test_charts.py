"""The charts as data, their layout and their drawing."""

import itertools
import re

import pytest

from metabench.records.schema import Record
from metabench.report.charts import figures_of
from metabench.report.charts.episodes import distributions
from metabench.report.charts.pareto import pareto_front
from metabench.report.charts.ranks import critical_difference
from metabench.report.data import BenchmarkResults, gather
from metabench.report.figure import Axis, Figure, Point, Series
from metabench.report.layout import lay_out
from metabench.report.scales import Scale, log_ticks, round_ticks, scale_of
from metabench.report.styles import COLOURS, DASHES, MARKERS, Style, colour_variables
from metabench.report.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, draw
from tests.helpers.cells import make_record
from tests.helpers.many_records import METHODS, full_record, full_records

NAMES = [
    "pareto",
    "adaptation",
    "shots",
    "learning",
    "learning-seconds",
    "learning-flops",
    "corruptions",
    "label-noise",
    "attacks",
]


def results_of(records: list[Record]) -> BenchmarkResults:
    (results,) = gather(records).benchmarks
    return results


def figure_named(name: str, records: list[Record]) -> Figure:
    return next(f for f in figures_of(results_of(records)) if f.name == name)


def test_full_records_have_every_chart_and_bare_ones_have_none() -> None:
    assert [figure.name for figure in figures_of(results_of(full_records()))] == NAMES
    assert figures_of(results_of([make_record("maml"), make_record("protonet")])) == []


def test_every_chart_has_a_summary_and_a_caption() -> None:
    for figure in figures_of(results_of(full_records())):
        assert "protonet" in figure.summary
        assert figure.summary.endswith(".")
        assert figure.caption
    pareto = figure_named("pareto", full_records())
    assert "from the fastest to the best: nearest-mean, protonet." in pareto.summary


def test_no_point_dominates_the_pareto_front() -> None:
    points = [Point(3, 0.9), Point(1, 0.5), Point(2, 0.4), Point(4, 0.9), Point(1, 0.3)]
    assert pareto_front(points) == [Point(1, 0.5), Point(3, 0.9)]
    assert pareto_front(points, lower_is_better=True) == [Point(1, 0.3)]


def test_the_front_is_a_step_function() -> None:
    corners = figure_named("pareto", full_records()).front
    assert len(corners) == 3
    fastest, corner, best = corners
    assert (corner.x, corner.y) == (best.x, fastest.y)


def test_an_algorithm_without_cost_is_not_in_the_pareto_chart() -> None:
    pareto = figure_named("pareto", [*full_records(), make_record("uncosted", tuple([0.5] * 60))])
    assert [s.label for s in pareto.series] == ["protonet", "r2d2", "maml", "nearest-mean"]


def test_markers_are_at_the_positions_of_their_numbers() -> None:
    drawing = draw(figure_named("corruptions", [full_record("maml", 0.9, 10.0)]))
    (group,) = [g for g in drawing.groups if g.label == "maml"]
    places = [tuple(map(float, path.move.split())) for path in group.paths if path.role == "marker"]
    xs, ys = zip(*places, strict=True)
    assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM for x, y in places)
    assert all(b - a == pytest.approx(xs[1] - xs[0], abs=0.02) for a, b in itertools.pairwise(xs))
    assert ys[1] > ys[0]  # the y axis of SVG points down
    assert all(b - a == pytest.approx(ys[1] - ys[0], abs=0.02) for a, b in itertools.pairwise(ys))


def test_the_table_of_a_chart_holds_every_point() -> None:
    drawing = draw(figure_named("label-noise", [full_record("maml", 0.9, 10.0)]))
    assert drawing.table.heading == ("algorithm", "flipped support labels (%)", "accuracy (%)")
    assert drawing.table.rows == (
        ("maml", "0.00", "90.00"),
        ("maml", "20.00", "80.00"),
        ("maml", "40.00", "70.00"),
        ("maml", "60.00", "60.00"),
    )


def test_the_seeds_of_an_algorithm_are_one_series_with_a_band() -> None:
    learning = figure_named("learning", full_records())
    bands = {s.label: s.points[0].low is not None for s in learning.series}
    assert bands == {"protonet": False, "r2d2": False, "maml": True}


def test_an_algorithm_has_one_style_in_every_chart_and_neighbours_differ() -> None:
    results = results_of(full_records())
    shown = {(s.label, s.style) for figure in figures_of(results) for s in figure.series}
    assert shown == {(label, results.styles[label]) for label in METHODS}
    styles = [Style(i) for i in range(len(COLOURS) * len(MARKERS))]
    assert len({(style.colour, style.marker_path()) for style in styles}) == len(styles)
    for one, other in itertools.pairwise(styles):
        assert one.colour != other.colour
        assert one.marker != other.marker
        assert one.dashes != other.dashes
    assert len(DASHES) == len(set(DASHES))


def test_the_distribution_has_a_row_for_each_algorithm_with_a_score() -> None:
    drawing = distributions(results_of([*full_records(), make_record("broken", None)]))
    assert drawing is not None
    assert [row[0] for row in drawing.table.rows] == ["protonet", "r2d2", "maml", "nearest-mean"]
    one = distributions(results_of([make_record("maml", (0.25, 0.75, 1.0, 1.0))]))
    assert one is not None
    assert one.table.rows == (("maml", "25.00", "62.50", "87.50", "100.00", "100.00", "75.00"),)


def test_without_scores_there_is_no_distribution() -> None:
    assert distributions(results_of([make_record("broken", None)])) is None


def many(benchmarks: int, names: tuple[str, ...] = ("a", "b", "c")) -> list[BenchmarkResults]:
    records = [
        make_record(name, (0.5 - 0.1 * k, 0.6 - 0.1 * k), benchmark={"name": f"bench-{i}"})
        for i in range(benchmarks)
        for k, name in enumerate(names)
    ]
    return gather(records).benchmarks


def test_average_ranks_need_enough_benchmarks_and_algorithms() -> None:
    few = critical_difference(many(4))
    assert isinstance(few, str)
    assert "There are 4 and 3." in few
    assert isinstance(critical_difference(many(5, ("a", "b"))), str)
    assert isinstance(critical_difference([]), str)


def test_the_critical_difference_diagram_ranks_the_best_first() -> None:
    drawing = critical_difference(many(6))
    assert not isinstance(drawing, str)
    assert drawing.table.rows == (("a", "1.00"), ("b", "2.00"), ("c", "3.00"))
    assert "the ranks differ; critical difference 1.35" in drawing.summary
    # a and c differ, a and b do not, nor b and c: two bars, and that of the critical difference.
    assert [p.role for p in drawing.groups[0].paths].count("bar") == 3


def test_the_lowest_error_has_the_best_average_rank() -> None:
    records = [
        make_record(
            name,
            (k + 1.0, k + 2.0),
            metric="mse",
            direction="lower",
            benchmark={"name": f"bench-{i}"},
        )
        for i in range(5)
        for k, name in enumerate("abc")
    ]
    drawing = critical_difference(gather(records).benchmarks)
    assert not isinstance(drawing, str)
    assert [row[0] for row in drawing.table.rows] == ["a", "b", "c"]


def test_ticks_are_round_numbers() -> None:
    assert round_ticks(0.55, 0.95) == [0.6, 0.7, 0.8, 0.9]
    assert round_ticks(0, 48_000) == [0, 10_000, 20_000, 30_000, 40_000]
    assert log_ticks(0.5, 2000) == [1, 10, 100, 1000]
    assert log_ticks(13.0, 16.9) == [13.0, 14.0, 15.0, 16.0]


@pytest.mark.parametrize(
    "values", [[0.0], [1.0, 1.0], [-5.0], [1e-300, 1e-299], [1e100, -1e100], [1.0, 1 + 1e-16]]
)
@pytest.mark.parametrize("kind", ["linear", "log1p"])
def test_a_scale_covers_its_values(values: list[float], kind) -> None:
    if kind == "log1p":
        values = [abs(v) for v in values]
    scale = scale_of(Axis("", kind), values)
    assert all(0 <= scale(v) <= 1 for v in values)
    assert len(scale.ticks) < 20


def test_a_drawing_has_no_nan_and_no_infinity() -> None:
    record = full_record("maml", 0.9, 10.0)
    record.metrics["adaptation"].values["curve"]["score"][2] = float("nan")
    record.metrics["noise"].values["clean"] = float("inf")
    for figure in figures_of(results_of([record])):
        for group in draw(figure).groups:
            text = " ".join(p.d + p.move for p in group.paths)
            assert not re.search("nan|inf", text)


def curves(*ys: list[float], percent: bool = False, joined: bool = True) -> Figure:
    """A figure of some curves, each point with an interval of 0.1 on both sides."""
    series = tuple(
        Series(f"s{i}", i, tuple(Point(x, y, y - 0.1, y + 0.1) for x, y in enumerate(curve)))
        for i, curve in enumerate(ys)
    )
    return Figure("c", "t", "s.", "Caption.", Axis("x"), Axis("y", percent=percent), series, joined)


def test_a_diverged_curve_does_not_set_the_limits_of_the_axis() -> None:
    figure = curves([-4.0, -0.5, -0.4], [-4.0, -0.6, -2e9])
    layout = lay_out(figure)
    assert (layout.outside, layout.y.high) == (1, pytest.approx(-0.3, abs=0.5))
    assert -5 < layout.y.low < -4.1
    drawing = draw(figure)
    assert drawing.caption == "Caption. 1 diverged point is outside the chart; see the numbers."
    assert "-2,000,000,000" in {cell for row in drawing.table.rows for cell in row}
    coordinates = [
        abs(float(number))
        for group in drawing.groups
        for path in group.paths
        for number in re.findall(r"-?\d+(?:\.\d+)?", f"{path.d} {path.move}")
    ]
    assert max(coordinates) < 20 * HEIGHT, "browsers draw no dashes on longer paths"
    assert drawing.clip == (LEFT, TOP, WIDTH - RIGHT - LEFT, HEIGHT - BOTTOM - TOP)


def test_a_score_in_percent_is_always_inside() -> None:
    layout = lay_out(curves([0.95] * 20, [0.951] * 20, [0.2] * 2, percent=True))
    assert layout.outside == 0
    assert layout.y.low < 0.1


def test_the_best_algorithm_is_drawn_last_with_a_band_or_whiskers() -> None:
    last = lay_out(curves([1.0, 2.0], [3.0, 4.0])).layers[-1]
    assert last.series.label == "s0"
    assert last.band == last.line == last.markers == last.series.points
    assert last.whiskers == ()
    point = lay_out(curves([1.0])).layers[0]
    assert (point.band, point.line, point.whiskers) == ((), (), point.series.points)
    apart = lay_out(curves([1.0, 2.0], joined=False)).layers[0]
    assert (apart.band, apart.line, apart.whiskers) == ((), (), apart.series.points)


def test_labels_that_would_overlap_are_left_out() -> None:
    scale = Scale(Axis("steps", ticks=(0, 1, 2, 50, 100)), -5.0, 105.0)
    assert scale.ticks == [0, 1, 2, 50, 100]
    assert scale.labels == ["0", "", "", "50", "100"]


def test_every_colour_has_a_variable_in_both_modes() -> None:
    css = colour_variables()
    light, dark = css.split("@media (prefers-color-scheme: dark)")
    for i, (on_light, on_dark) in enumerate(COLOURS):
        assert f"--c{i}:{on_light};" in light
        assert f"--c{i}:{on_dark};" in dark
