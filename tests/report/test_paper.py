"""Figures for papers."""

import sys
from pathlib import Path

import pytest

from metabench.api import Results
from metabench.errors import NothingSelected, UsageError
from metabench.report.charts import CHARTS, figures_of
from metabench.report.data import gather
from metabench.report.layout import lay_out
from metabench.report.paper import plot, save
from metabench.report.styles import COLOURS, Style
from metabench.report.values import shorten
from tests.helpers.cells import make_record
from tests.helpers.many_records import full_records

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
RESULTS = Results([r for b in ("one", "two") for r in full_records(benchmark={"name": b})])
PANELS = {"pareto": 2, "adaptation": 4, "learning": 6, "robustness": 6}


@pytest.mark.parametrize("kind", CHARTS)
def test_there_is_a_panel_for_each_benchmark_and_chart(kind: str) -> None:
    paper = RESULTS.plot(kind)
    assert len(paper.axes) == PANELS[kind]
    assert len(RESULTS.plot(kind, "one").axes) == PANELS[kind] // 2
    (legend,) = paper.legends
    names = {text.get_text() for text in legend.get_texts()}
    assert names >= {"maml", "protonet", "r2d2"}


def test_a_line_has_the_numbers_of_the_records() -> None:
    corruptions = RESULTS.plot("robustness", "one").axes[0]
    lines = {tuple(round(y, 3) for y in line.get_ydata()) for line in corruptions.lines}
    assert (0.95, 0.9, 0.85, 0.8, 0.75, 0.7) in lines  # protonet


def test_a_panel_has_the_limits_ticks_and_styles_of_the_page() -> None:
    paper = RESULTS.plot("adaptation", "one")
    (results,) = gather(RESULTS.records).benchmarks[:1]
    layouts = [lay_out(figure) for figure in figures_of(results, "adaptation")]
    for axes, layout in zip(paper.axes, layouts, strict=True):
        assert axes.get_xlim() == pytest.approx((layout.x.low, layout.x.high))
        assert axes.get_ylim() == pytest.approx((layout.y.low, layout.y.high))
        assert list(axes.get_xticks()) == layout.x.ticks
        assert [text.get_text() for text in axes.get_yticklabels()] == layout.y.labels
        styles = [Style(layer.series.style) for layer in layout.layers]
        assert [line.get_color() for line in axes.lines] == [COLOURS[s.colour][0] for s in styles]
        assert [line.get_marker() for line in axes.lines] == [s.marker.name for s in styles]


def test_lines_differ_in_more_than_colour() -> None:
    lines = RESULTS.plot("learning", "one").axes[0].lines
    for look in ("get_color", "get_marker"):
        assert len({getattr(line, look)() for line in lines}) == len(lines)


@pytest.mark.parametrize(
    ("ending", "begins"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")]
)
def test_a_figure_has_the_same_bytes_every_time(tmp_path: Path, ending: str, begins: bytes) -> None:
    files = [tmp_path / f"{name}{ending}" for name in "ab"]
    for file in files:
        save(RESULTS.plot("pareto", "one"), file)
    assert files[0].read_bytes().startswith(begins)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == files


def test_dollar_signs_in_a_name_are_text() -> None:
    records = [make_record("$\\frac", (0.5, 0.6), cost={"adapt_ms": 1.0, "predict_ms": 1.0})]
    (legend,) = Results(records).plot("pareto").legends
    assert legend.get_texts()[0].get_text() == r"\$\frac"


def test_a_plot_without_data_or_of_an_unknown_kind_is_an_error() -> None:
    bare = Results([make_record()])
    with pytest.raises(
        NothingSelected, match="no record holds what the plot 'robustness' shows"
    ) as caught:
        bare.plot("robustness")
    assert "`noise`" in caught.value.hint
    with pytest.raises(UsageError, match="unknown plot 'pie'"):
        bare.plot("pie")
    with pytest.raises(UsageError, match="unknown benchmark 'x'"):
        bare.plot("pareto", "x")


def test_without_matplotlib_the_error_states_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match="plots need matplotlib") as caught:
        plot([], "pareto")
    assert caught.value.hint == "pip install 'metabench[plot]'"


def test_long_names_are_shortened() -> None:
    assert shorten("x" * 50, 40) == "x" * 39 + "…"
