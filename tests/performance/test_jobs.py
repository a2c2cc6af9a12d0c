"""Two cells in parallel on two cores against the same two in sequence, by ``metabench run``.

The cells are two seeds of MAML on 5-way 1-shot glyphs of the suite ``core``, which take equally
long. The whole command is timed, including start-up; the time from the first start of a cell to the
last end is reported too. The metric ``cost`` is left out: its timing is exclusive.
"""

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.performance.comparison import Comparison
from tests.performance.figures import Figure
from tests.performance.sides import Timing

BAR = 1.7
ROUNDS = 3
ALGORITHM, BENCHMARK = "maml", "glyphs-5w1s"
METRICS = "accuracy"


def run(jobs: int, results: Path) -> tuple[float, float]:
    """Returns the seconds of the command, and from the first cell's start to the last one's end."""
    command = [
        sys.executable,
        "-m",
        "metabench",
        "run",
        "-a",
        ALGORITHM,
        "-b",
        BENCHMARK,
        "--seeds",
        "2",
    ]
    options = [
        "--jobs",
        str(jobs),
        "--threads",
        "1",
        "--metrics",
        METRICS,
        "--results",
        str(results),
    ]
    start = time.perf_counter()
    subprocess.run([*command, *options], check=True, capture_output=True)
    took = time.perf_counter() - start
    records = [json.loads(path.read_text()) for path in results.rglob("*.json")]
    times = [(r["started"], r["finished"]) for r in records if r.get("status") == "ok"]
    assert len(times) == 2
    first, last = min(s for s, _ in times), max(f for _, f in times)
    return took, (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


@pytest.mark.timeout(1800)
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="the machine has one core")
def test_two_cells_run_in_parallel_with_the_required_speedup(
    comparison: Comparison, tmp_path: Path
) -> None:
    rounds = comparison.rounds(ROUNDS)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    cells: dict[int, list[float]] = {1: [], 2: []}
    for i in range(rounds):
        for jobs in (1, 2) if i % 2 == 0 else (2, 1):
            took, working = run(jobs, tmp_path / f"{i}-{jobs}")
            seconds[jobs].append(took)
            cells[jobs].append(working)
    whole = {jobs: Timing.of(took).median for jobs, took in seconds.items()}
    alone = {jobs: Timing.of(took).median for jobs, took in cells.items()}
    figure = Figure(
        name="two-cells",
        what="two cells on two cores over one after the other",
        setting=f"`metabench run -a {ALGORITHM} -b {BENCHMARK} --seeds 2 --metrics {METRICS} "
        "--jobs 2`, 1 thread a cell, start-up included",
        value=whole[1] / whole[2],
        bar=BAR,
        rounds=rounds,
        extra={
            "seconds": {str(jobs): round(s, 2) for jobs, s in whole.items()},
            "without_startup": round(alone[1] / alone[2], 3),
        },
        note=f"{whole[1]:.1f} s and {whole[2]:.1f} s; {alone[1] / alone[2]:.2f} x from the first "
        "cell's start to the last one's end.",
    )
    comparison.write(figure)
    assert figure.met, str(figure)
