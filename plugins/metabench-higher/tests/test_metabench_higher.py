"""higher-maml runs by its entry point and scores as the native algorithm."""

from pathlib import Path

import pytest

import metabench

pytest.importorskip("metabench_higher", reason="this plugin is not installed")


def test_an_adapter_has_the_score_of_the_native_algorithm(tmp_path: Path) -> None:
    """The same seed gives the same initial parameters and tasks: scores differ by rounding."""
    names = ["maml", "higher-maml"]
    few = {name: {"budget": 4_000, "tasks": 5} for name in names}
    results = metabench.run(
        names, benchmarks=["sinusoid-5s"], quick=True, settings=few, results=tmp_path
    )

    rows = {row.algorithm.partition("[")[0]: row for row in results.leaderboard().rows}
    native, found = rows["maml"], rows["higher-maml"]
    assert (found.status, found.reason) == ("ok", "")
    assert found.library.startswith("higher ")
    assert found.score == pytest.approx(native.score, rel=1e-3)
    assert found.episode_digest == native.episode_digest
