"""example meets the contract of metabench and learns on embedded data."""

from pathlib import Path

import metabench
from metabench.testing import check_algorithm

CHANCE = 1 / 5


def test_it_meets_the_contract() -> None:
    """`metabench check example` runs the same checks."""
    check_algorithm("example").raise_for_failures()


def run(results: Path) -> metabench.Results:
    """Run a small cell; by the algorithm's name, so that the entry point is tested too."""
    return metabench.run(["example"], benchmarks=["glyphs-5w1s"], quick=True, results=results)


def test_it_beats_chance_and_the_same_seed_gives_the_same_scores(tmp_path: Path) -> None:
    first, second = run(tmp_path / "first"), run(tmp_path / "second")

    (row,) = first.leaderboard().rows
    assert row.status == "ok", row.reason
    assert row.score is not None
    assert row.ci95 is not None
    assert row.score - row.ci95 > CHANCE
    assert first.episodes().equals(second.episodes())
