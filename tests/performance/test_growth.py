"""The growth of the cost of MAML's outer step with its size.

Second order, the paper's strided network, 1 query. The seconds per unit of work (a task, a class,
an inner step) must not rise with the size, and memory must grow at most linearly. Every size runs
in a process of its own, which has its own peak of memory. The seconds of an inner step are those
beyond an outer step without inner steps.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.performance.comparison import Comparison
from tests.performance.figures import Figure
from tests.performance.growth_plot import draw

SIZES = {
    "tasks": (1, 2, 4, 8, 16, 32, 64),
    "ways": (5, 10, 20, 35, 50),
    "steps": (1, 2, 5, 10, 20),
}
BASE = {"tasks": 4, "ways": 5, "steps": 1}
MAX_COST_RATIO = 1.1
"""Bound on the cost of a unit at the largest size relative to the smallest."""
MAX_MEMORY_EXPONENT = 1.05
"""Bound on the exponent of memory as a function of size; linear growth has 1."""


def probe(axis: str, size: int) -> dict[str, float]:
    """Returns the seconds and the MiB of an outer step of one size."""
    rounds = int(os.environ.get("METABENCH_BENCH_ROUNDS") or 5)
    arguments = BASE | {axis: size, "rounds": rounds, "threads": torch.get_num_threads()}
    command = [sys.executable, "-m", "tests.performance.growth_probe", json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def growth_exponent(sizes: tuple[int, ...], values: list[float]) -> float:
    """Returns the exponent of growth by least squares: 1 for a line through zero."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("axis", list(SIZES))
def test_cost_per_unit_is_constant_and_memory_is_linear(axis: str, comparison: Comparison) -> None:
    sizes = SIZES[axis]
    found = [probe(axis, size) for size in sizes]
    fixed = probe(axis, 0)["seconds"] if axis == "steps" else 0.0
    each = [(one["seconds"] - fixed) / size for one, size in zip(found, sizes, strict=True)]
    memory = [one["mb"] for one in found]
    row = {
        "setting": f"Conv-64 strided, second order, {axis} of {sizes[0]} to {sizes[-1]}; else "
        + ", ".join(f"{value} {name}" for name, value in BASE.items() if name != axis),
        "extra": {
            "sizes": list(sizes),
            "milliseconds": [round(1e3 * one["seconds"], 2) for one in found],
            "mb": [round(mb, 1) for mb in memory],
        },
    }
    one = {"tasks": "task", "ways": "class", "steps": "step"}[axis]
    cost = Figure(
        name=f"growth-{axis}-cost",
        what=f"growth with {axis}: cost of a {one}, largest over smallest",
        value=each[-1] / each[0],
        bar=MAX_COST_RATIO,
        sense="at most",
        **row,
    )
    line = Figure(
        name=f"growth-{axis}-memory",
        what=f"growth with {axis}: memory's power of the size",
        value=growth_exponent(sizes, memory),
        bar=MAX_MEMORY_EXPONENT,
        sense="at most",
        unit="",
        **row,
    )
    for figure in (cost, line):
        comparison.write(figure)
    comparison.draw(draw)
    assert cost.met, str(cost)
    assert line.met, str(line)
