"""Run one size of MAML's outer step in a process of its own; print its seconds and memory.

``python -m tests.performance.growth_probe '{"tasks": 4, "ways": 5, "steps": 1, "rounds": 5,
"threads": 1}'``
"""

from __future__ import annotations

import json
import sys
from contextlib import closing

import torch

from metabench.runtime.memory import keep_freed_memory, peak_process_mb
from tests.helpers.threads import torch_threads
from tests.performance import workloads
from tests.performance.outer_steps import Metabench
from tests.performance.sides import Timing, timed

STEPS = 4
"""Outer steps in a round."""


def probe(tasks: int, ways: int, steps: int, rounds: int, threads: int) -> dict[str, float]:
    """Returns the median seconds of an outer step, and its peak MiB above the memory before it.

    As in a cell, processes share the tasks if that is faster; the memory is that of the parent.
    """
    keep_freed_memory()
    torch.set_num_threads(threads)
    batch = workloads.glyph_tasks(tasks, 1, ways=ways)
    maml = workloads.make_maml(
        workloads.GLYPHS, ways=ways, inner_lr=0.05, inner_steps=steps, backbone="conv4-strided"
    )
    ours = Metabench(maml, batch)
    run = ours.steps(STEPS)
    before = peak_process_mb()
    with torch_threads(threads), closing(ours):
        timed(run)
        seconds = Timing.of([timed(run) * tasks for _ in range(rounds)])
    return {"seconds": seconds.median, "mb": peak_process_mb() - before}


if __name__ == "__main__":
    print(json.dumps(probe(**json.loads(sys.argv[1]))))
