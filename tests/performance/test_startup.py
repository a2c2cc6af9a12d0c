"""The time of a command from the start of its process to its end."""

import resource
import subprocess
import sys

import pytest

from tests.performance.comparison import Comparison
from tests.performance.figures import Figure

ROUNDS = 15


@pytest.mark.parametrize(
    ("arguments", "most"), [(("--help",), 0.3), (("list", "algorithms"), 0.5)], ids=["help", "list"]
)
def test_a_command_starts_within_its_bound(
    arguments: tuple[str, ...], most: float, comparison: Comparison
) -> None:
    def answer() -> int:
        subprocess.run(
            [sys.executable, "-m", "metabench", *arguments], check=True, capture_output=True
        )
        return 1

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    timing = comparison.interleave(answer, {}, rounds=ROUNDS)["metabench"]
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime) / (
        comparison.rounds(ROUNDS) + 1
    )
    figure = Figure(
        name=f"startup-{arguments[0].strip('-')}",
        what=f"`metabench {' '.join(arguments)}`",
        setting="a new process each time, files in the page cache",
        value=timing.median,
        bar=most,
        sense="at most",
        unit="s",
        rounds=comparison.rounds(ROUNDS),
        extra={"q1": round(timing.q1, 4), "q3": round(timing.q3, 4), "cpu_seconds": round(cpu, 4)},
    )
    comparison.write(figure)
    assert figure.met, str(figure)
