"""example, run through metabench as everybody else will run it."""

from pathlib import Path

import metabench
from metabench.testing import check_algorithm

CHANCE = 1 / 5


def test_it_keeps_the_contract() -> None:
    """The conformance kit; `metabench check example` shows what it finds."""
    check_algorithm("example").raise_for_failures()


def run(results: Path) -> metabench.Results:
    """One quick run on embedded data; by its name, so the entry point is tested with it."""
    return metabench.run(["example"], benchmarks=["glyphs-5w1s"], quick=True, results=results)


def test_it_beats_chance_and_the_same_seed_gives_the_same_scores(tmp_path: Path) -> None:
    first, second = run(tmp_path / "first"), run(tmp_path / "second")

    (row,) = first.leaderboard().rows
    assert row.status == "ok", row.reason
    assert row.score is not None
    assert row.ci95 is not None
    assert row.score - row.ci95 > CHANCE
    assert first.episodes().equals(second.episodes())
