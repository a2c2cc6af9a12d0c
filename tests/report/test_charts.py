"""The charts as data, and where their marks lie."""

import itertools
import re

import pytest

from metabench.records.schema import Record
from metabench.report.charts import figures_of
from metabench.report.charts.episodes import distributions
from metabench.report.charts.pareto import pareto_front
from metabench.report.charts.ranks import critical_difference
from metabench.report.drawing import COLOURS, DASHES, MARKERS, Look
from metabench.report.facts import Section, gather
from metabench.report.figure import Axis, Figure, Point
from metabench.report.plotting import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, draw
from metabench.report.scales import log_ticks, round_ticks, scale_of
from tests.helpers.cells import made_record
from tests.helpers.many_records import METHODS, full_record, full_records

NAMES = ["pareto", "adaptation", "shots", "learning", "corruptions", "label-noise", "attacks"]


def section_of(records: list[Record]) -> Section:
    (section,) = gather(records).sections
    return section


def figure_named(name: str, records: list[Record]) -> Figure:
    return next(f for f in figures_of(section_of(records)) if f.name == name)


def test_full_records_have_every_chart_and_bare_ones_have_none() -> None:
    assert [figure.name for figure in figures_of(section_of(full_records()))] == NAMES
    assert figures_of(section_of([made_record("maml"), made_record("protonet")])) == []


def test_every_chart_says_in_words_what_it_shows() -> None:
    for figure in figures_of(section_of(full_records())):
        assert "protonet" in figure.summary
        assert figure.summary.endswith(".")
        assert figure.caption
    pareto = figure_named("pareto", full_records())
    assert "none is both faster and better than nearest-mean, protonet." in pareto.summary


def test_the_pareto_front_is_what_no_other_beats_in_both() -> None:
    points = [Point(3, 0.9), Point(1, 0.5), Point(2, 0.4), Point(4, 0.9), Point(1, 0.3)]
    assert pareto_front(points) == [Point(1, 0.5), Point(3, 0.9)]
    assert pareto_front(points, lower_is_better=True) == [Point(1, 0.3)]


def test_the_front_is_stairs_and_promises_nothing_between_two_algorithms() -> None:
    corners = figure_named("pareto", full_records()).front
    assert len(corners) == 3
    fastest, corner, best = corners
    assert (corner.x, corner.y) == (best.x, fastest.y)


def test_an_algorithm_without_cost_is_no_point_of_the_pareto_chart() -> None:
    pareto = figure_named("pareto", [*full_records(), made_record("uncosted", tuple([0.5] * 60))])
    assert [s.label for s in pareto.series] == ["protonet", "r2d2", "maml", "nearest-mean"]


def test_a_point_lies_where_its_numbers_say() -> None:
    drawing = draw(figure_named("corruptions", [full_record("maml", 0.9, 10.0)]))
    (group,) = [g for g in drawing.groups if g.label == "maml"]
    places = [tuple(map(float, path.move.split())) for path in group.paths if path.role == "marker"]
    xs, ys = zip(*places, strict=True)
    assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM for x, y in places)
    assert all(b - a == pytest.approx(xs[1] - xs[0], abs=0.02) for a, b in itertools.pairwise(xs))
    assert ys[1] > ys[0]  # a score that falls goes down the page
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


def test_an_algorithm_looks_the_same_in_every_chart_and_unlike_its_neighbours() -> None:
    section = section_of(full_records())
    styles = {(s.label, s.style) for figure in figures_of(section) for s in figure.series}
    assert styles == {(label, section.styles[label]) for label in METHODS}
    looks = [Look(i) for i in range(COLOURS * len(MARKERS))]
    assert len({(look.colour, look.marker()) for look in looks}) == len(looks)
    for one, other in itertools.pairwise(looks):
        assert one.colour != other.colour
        assert one.marker() != other.marker()
        assert one.dash != other.dash
    assert len(DASHES) == len(set(DASHES))


def test_the_spread_of_the_episodes_has_a_row_for_each_algorithm_with_a_score() -> None:
    drawing = distributions(section_of([*full_records(), made_record("broken", None)]))
    assert drawing is not None
    assert [row[0] for row in drawing.table.rows] == ["protonet", "r2d2", "maml", "nearest-mean"]
    one = distributions(section_of([made_record("maml", (0.25, 0.75, 1.0, 1.0))]))
    assert one is not None
    assert one.table.rows == (("maml", "25.00", "62.50", "87.50", "100.00", "100.00", "75.00"),)


def test_there_is_no_spread_without_scores() -> None:
    assert distributions(section_of([made_record("broken", None)])) is None


def many(benchmarks: int, names: tuple[str, ...] = ("a", "b", "c")) -> list[Section]:
    records = [
        made_record(name, (0.5 - 0.1 * k, 0.6 - 0.1 * k), benchmark={"name": f"bench-{i}"})
        for i in range(benchmarks)
        for k, name in enumerate(names)
    ]
    return gather(records).sections


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
    assert "they differ; critical difference 1.35" in drawing.summary
    # a and b, b and c cannot be told apart, a and c can: two bars beside the one that is the scale.
    assert [p.role for p in drawing.groups[0].paths].count("bar") == 3


def test_errors_rank_the_other_way_round() -> None:
    records = [
        made_record(
            name,
            (k + 1.0, k + 2.0),
            metric="mse",
            direction="lower",
            benchmark={"name": f"bench-{i}"},
        )
        for i in range(5)
        for k, name in enumerate("abc")
    ]
    drawing = critical_difference(gather(records).sections)
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
def test_a_scale_of_any_numbers_keeps_them_inside(values: list[float], kind) -> None:
    if kind == "log1p":
        values = [abs(v) for v in values]
    scale = scale_of(Axis("", kind), values, 10.0, 110.0)
    assert all(10 <= scale(v) <= 110 for v in values)
    assert len(scale.ticks) < 20


def test_a_drawing_has_no_number_that_is_none() -> None:
    record = full_record("maml", 0.9, 10.0)
    record.metrics["adaptation"].values["curve"]["score"][2] = float("nan")
    record.metrics["noise"].values["clean"] = float("inf")
    for figure in figures_of(section_of([record])):
        for group in draw(figure).groups:
            text = " ".join(p.d + p.move for p in group.paths)
            assert not re.search("nan|inf", text)
