"""torchopt-maml, run through metabench as everybody else will run it."""

from pathlib import Path

import pytest

import metabench

pytest.importorskip("metabench_torchopt", reason="this plugin is not installed")


def test_it_is_a_row_beside_the_native_algorithm_with_the_same_score(tmp_path: Path) -> None:
    """One seed: the same start, the same tasks, and so the same scores but for rounding."""
    names = ["maml", "torchopt-maml"]
    few = {name: {"budget": 4_000, "tasks": 5} for name in names}
    results = metabench.run(
        names, benchmarks=["sinusoid-5s"], quick=True, settings=few, results=tmp_path
    )

    rows = {row.algorithm.partition("[")[0]: row for row in results.leaderboard().rows}
    native, found = rows["maml"], rows["torchopt-maml"]
    assert (found.status, found.reason) == ("ok", "")
    assert found.library.startswith("torchopt ")
    assert found.score == pytest.approx(native.score, rel=1e-3)
    assert found.episode_digest == native.episode_digest
