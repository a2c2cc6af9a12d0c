"""Run an outer step of one side in a process of its own; print its peak memory in MiB.

The peak is above the memory before the step. Metabench does not share its steps here.

``python -m tests.performance.memory_probe '{"row": "maml-conv4", "side": "learn2learn",
"threads": 2}'``
"""

from __future__ import annotations

import json
import sys

import torch

from metabench.runtime.memory import keep_freed_memory, peak_process_mb
from tests.performance.outer_steps import installed, make_learn2learn_importable
from tests.performance.test_maml import ROWS, sides


def probe(row: str, side: str, threads: int) -> float:
    """Returns the peak MiB of two outer steps above the memory before them."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    make_learn2learn_importable()
    found = next(one for one in ROWS if one.name == row)
    ours, peers = sides(found, installed(found.setting), torch.float32)
    run = {"metabench": ours.steps(2)} | {peer.name: peer.steps(2) for peer in peers}
    before = peak_process_mb()
    run[side]()
    return peak_process_mb() - before


if __name__ == "__main__":
    print(probe(**json.loads(sys.argv[1])))
