"""MAML's outer steps on a GPU against learn2learn's: second order, the paper's network, 32 tasks.

Metabench replays a CUDA graph with the implementations of the network that are the fastest there.
"""

import copy
from types import ModuleType
from typing import Literal

import pytest
import torch

from metabench.episodes import TaskBatch
from metabench.runtime.precision import computing_in
from tests.performance import networks, workloads
from tests.performance.comparison import Comparison
from tests.performance.outer_steps import EveryParameter, Learn2Learn, Metabench, Setting
from tests.performance.sides import Side

TASKS, STEPS, INNER_LR = 32, 5, 0.05
OURS = 20
"""Outer steps of metabench in a round."""
ROUNDS = 15
BAR = 20.0
SAME = 1e-4


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("queries", [1, 15])
def test_outer_steps_on_a_gpu_reach_the_required_speedup(
    queries: int, l2l: ModuleType, comparison: Comparison
) -> None:
    batch = workloads.glyph_tasks(TASKS, queries, device="cuda")
    maml = workloads.make_maml(
        workloads.GLYPHS, inner_lr=INNER_LR, inner_steps=STEPS, backbone="conv4-strided"
    ).cuda()
    ours = Metabench(maml, batch)
    network = networks.copy_into(networks.conv4(5, strided=True).cuda(), maml.learner)
    peer = Learn2Learn(network, Setting(INNER_LR, STEPS), batch)
    mine = ours.gradient()
    assert float((mine - peer.gradient()).norm() / mine.norm()) <= SAME
    figure = comparison.against_peers(
        f"maml-gpu-{queries}",
        synchronised(ours.steps(OURS)),
        {peer.name: synchronised(peer.steps(1))},
        beside={
            f"metabench, {kind}": synchronised(in_precision(kind, maml, batch))
            for kind in ("tf32", "bf16")
        },
        rounds=ROUNDS,
        warmup=3,
        unit="tasks",
        device=torch.device("cuda"),
        what="MAML, second order, the paper's stride-2 Conv-64, 5 inner steps, GPU",
        setting=f"{TASKS} tasks an outer step, 5 ways, 1 shot, {queries} queries a class",
        bar=BAR,
    )
    assert figure.met, str(figure)


def in_precision(kind: Literal["tf32", "bf16"], maml: EveryParameter, batch: TaskBatch) -> Side:
    """Returns outer steps of metabench in another precision, with a graph of their own."""
    steps = Metabench(copy.deepcopy(maml), batch).steps(OURS)

    def run() -> int:
        with computing_in(kind, torch.device("cuda")):
            return steps()

    return run


def synchronised(side: Side) -> Side:
    """Returns a side that waits for the GPU at its end."""

    def run() -> int:
        done = side()
        torch.cuda.synchronize()
        return done

    return run
