"""Figures of robustness: when a board shows them, with which interval, and which one is bold."""

from typing import Any

import pytest

from metabench.leaderboard.build import build
from metabench.leaderboard.columns import FEWEST_EPISODES
from metabench.leaderboard.rows import LeaderboardRow
from metabench.records.schema import MetricResult, Record
from metabench.report.columns import columns_of
from metabench.report.data import gather
from tests.helpers.cells import make_record

CLEAR = (0.89, 0.9, 0.91)
PGD = "pgd-linf-0.1"


def attacked(
    name: str,
    score: float = 0.4,
    ci95: float | None = 0.02,
    *,
    episodes: int = FEWEST_EPISODES,
    scores: tuple[float, ...] = CLEAR,
    seed: int = 0,
) -> Record:
    values = {"attacks": {PGD: {"score": score, "ci95": ci95, "episodes": episodes}}}
    return measured(name, "adversarial", values, scores=scores, seed=seed)


def measured(
    name: str,
    metric: str,
    values: dict[str, Any],
    *,
    scores: tuple[float, ...] = CLEAR,
    seed: int = 0,
) -> Record:
    record = make_record(name, scores, seed=seed)
    record.metrics[metric] = MetricResult(
        version="1", direction="higher", unit="", mean=0.4, values=values
    )
    return record


def row_of(*records: Record, algorithm: str = "a") -> LeaderboardRow:
    (row,) = [row for row in build(records).rows if row.algorithm == algorithm]
    return row


def test_a_figure_of_few_episodes_is_not_shown() -> None:
    row = row_of(attacked("a", episodes=FEWEST_EPISODES - 1))
    assert row.extra["pgd_0.1"] is None
    assert row.missing["pgd_0.1"] == "few episodes: 49; a board shows 50 or more"
    assert row_of(attacked("a")).extra["pgd_0.1"] == 0.4


@pytest.mark.parametrize(
    ("metric", "column"),
    [("adaptation", "adaptation_area"), ("transduction", "transduction_gain")],
)
def test_other_metrics_with_episodes_of_their_own_need_as_many(metric: str, column: str) -> None:
    few = measured("a", metric, {"area": 0.4, "episodes": FEWEST_EPISODES - 1})
    row = row_of(few)
    assert row.extra[column] is None
    assert row.missing[column].startswith("few episodes: 49")
    few.metrics[metric].values["episodes"] = FEWEST_EPISODES
    assert row_of(few).extra[column] == 0.4


def test_the_page_of_the_report_leaves_the_mean_of_few_episodes_out() -> None:
    for episodes, shown in ((FEWEST_EPISODES - 1, False), (FEWEST_EPISODES, True)):
        record = measured("a", "noise", {"episodes": episodes})
        (results,) = gather([record]).benchmarks
        assert ("noise" in [column.title for column in columns_of(results)]) == shown


def test_the_number_of_episodes_that_stands_nearest_to_a_figure_counts() -> None:
    values = {"episodes": 100, "attacks": {PGD: {"score": 0.4, "episodes": 10}}}
    assert row_of(measured("a", "adversarial", values)).extra["pgd_0.1"] is None
    values = {"episodes": 10, "mean_drop": 0.1}
    assert row_of(measured("a", "noise", values)).extra["noise_drop"] is None


@pytest.mark.parametrize("scores", [(1 / 3,) * 3, (0.2, 0.4, 0.6), (0.1, 0.1, 0.1)])
def test_a_method_at_chance_or_below_has_no_robustness(scores: tuple[float, ...]) -> None:
    row = row_of(attacked("a", scores=scores))
    assert row.extra["pgd_0.1"] is None
    assert row.missing["pgd_0.1"].startswith("at chance")


def test_the_interval_stands_beside_the_figure() -> None:
    records = [attacked("a", ci95=half, seed=seed) for seed, half in enumerate((0.01, 0.02, 0.09))]
    assert row_of(*records).flat()["pgd_0.1_ci95"] == 0.02  # the median over the seeds
    assert "0.400 ± 0.020" in build(records).render("markdown")


def test_the_best_is_bold_only_if_its_interval_is_apart_from_that_of_the_next() -> None:
    apart = build([attacked("a", 0.5), attacked("b", 0.45)]).render("markdown")
    assert "**0.500 ± 0.020**" in apart
    overlapping = build([attacked("a", 0.5), attacked("b", 0.47)]).render("markdown")
    assert "0.500 ± 0.020" in overlapping
    assert "**0.500" not in overlapping
    unknown = build([attacked("a", 0.5), attacked("b", 0.1, None)]).render("markdown")
    assert "**0.500" not in unknown


def test_a_drop_is_shown_and_never_bold() -> None:
    values = {"corruptions": {"query": {"mean_drop": 0.1, "mean_drop_ci95": 0.01}}}
    more = {"corruptions": {"query": {"mean_drop": 0.3, "mean_drop_ci95": 0.01}}}
    text = build([measured("a", "noise", values), measured("b", "noise", more)]).render("markdown")
    assert "0.100 ± 0.010" in text
    assert "**0.100" not in text


def test_the_drop_under_noise_is_shown_where_it_is_not_that_under_corruptions_again() -> None:
    both = {"mean_drop": 0.1, "corruptions": {"query": {"mean_drop": 0.1}}}
    assert row_of(measured("a", "noise", both)).extra["noise_drop"] is None
    assert row_of(measured("a", "noise", {"mean_drop": 0.1})).extra["noise_drop"] == 0.1
