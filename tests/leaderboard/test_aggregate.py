"""One table over all benchmarks of a leaderboard."""

import numpy as np
import pytest

from metabench.leaderboard.aggregate import THRESHOLDS
from metabench.leaderboard.build import build
from metabench.leaderboard.pages import board_files
from metabench.records.schema import Record
from tests.helpers.cells import make_record, with_seeds


def cell(algorithm: str, benchmark: str, score: float, **changes: object) -> list[Record]:
    record = make_record(algorithm, (score,) * 12, benchmark={"name": benchmark}, **changes)
    for metric in record.metrics.values():
        metric.unit = "share" if metric.direction == "higher" else "squared error"
    return with_seeds(record)


def of_three_benchmarks() -> list[Record]:
    """Returns two algorithms on three benchmarks, and one on a single benchmark."""
    return [
        *cell("a", "one", 0.5),
        *cell("b", "one", 0.9),
        *cell("a", "two", 0.4),
        *cell("b", "two", 0.7),
        *cell("a", "waves", 1.0, metric="mse", direction="lower"),
        *cell("b", "waves", 3.0, metric="mse", direction="lower"),
        *cell("only-one", "one", 0.99),
    ]


@pytest.fixture
def records() -> list[Record]:
    return of_three_benchmarks()


def test_average_ranks_are_over_all_benchmarks_and_means_over_shares(records) -> None:
    b, a = build(records).aggregate
    assert (b.algorithm, b.benchmarks, a.algorithm) == ("b", 3, "a")
    assert b.rank == b.rank_low == b.rank_high == pytest.approx(4 / 3)
    assert a.rank == pytest.approx(5 / 3)
    assert (b.iqm, b.iqm_low, b.iqm_high) == pytest.approx((0.8, 0.8, 0.8))
    assert dict(zip(THRESHOLDS, b.profile, strict=True))[0.75] == 0.5
    assert b.flat()["thresholds"] == list(THRESHOLDS)


def test_the_interquartile_mean_is_over_the_seeds_of_all_benchmarks() -> None:
    rng = np.random.default_rng(0)
    records, runs = [], []
    for benchmark in ("one", "two"):
        for seed, score in enumerate(rng.uniform(0.4, 0.9, 4)):
            runs.append(score)
            for name in ("a", "b"):
                one = make_record(name, (score,) * 12, benchmark={"name": benchmark}, seed=seed)
                one.metrics["accuracy"].unit = "share"
                records.append(one)
    row = build(records).aggregate[0]
    assert row.iqm == pytest.approx(np.mean(np.sort(runs)[2:6]))
    assert row.iqm_low < row.iqm < row.iqm_high


@pytest.mark.parametrize(
    "left", [lambda r: r.benchmark.name == "one", lambda r: r.algorithm.name == "a"]
)
def test_one_benchmark_or_one_algorithm_is_no_aggregate(records, left) -> None:
    assert build([r for r in records if left(r)]).aggregate == []


def test_provisional_rows_and_quick_runs_are_no_aggregate(records) -> None:
    assert build([r for r in records if r.seed < 2]).aggregate == []
    quick = [
        r.model_copy(update={"benchmark": r.benchmark.model_copy(update={"quick": True})})
        for r in records
    ]
    assert build(quick, quick=True).aggregate == []


def test_the_page_has_the_table_and_a_board_without_one_does_not(records) -> None:
    page = board_files(build(records), "board")["README.md"]
    assert "### Over the benchmarks" in page
    assert "| 1.33 (1.33 to 1.33) | b " in page
    assert "80.00 % (80.00 to 80.00)" in page
    assert "Over the benchmarks" not in board_files(build(records[:3]), "board")["README.md"]
