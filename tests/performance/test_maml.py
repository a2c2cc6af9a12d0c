"""MAML's outer steps per second against learn2learn, higher, TorchOpt and ``torch.func``.

Every side has the same network, initial parameters and tasks, and adapts all parameters. The outer
gradients are compared before the timing. First order leaves out TorchOpt, whose inner optimizer
keeps the graph of the inner gradients.
"""

import json
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from metabench.episodes import TaskBatch
from tests.performance import networks, workloads
from tests.performance.comparison import Comparison
from tests.performance.machine import ceilings
from tests.performance.outer_steps import (
    Learn2Learn,
    Metabench,
    Peer,
    Setting,
    TorchFuncVmap,
    installed,
)

SAME = 1e-4
"""Largest relative difference of outer gradients in float32."""
SAME_IN_DOUBLE = 1e-10
"""Largest relative difference of outer gradients in float64."""


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Args:
        name: The name in the file.
        what: The description in the table.
        backbone: ``mlp``, ``conv4`` (pooled) or ``conv4-strided``.
        tasks: Tasks in an outer step.
        queries: Queries per class.
        setting: Inner rate, steps and order.
        bar: The required speed relative to the fastest peer.
        rounds: How often each side is timed.
        count: Outer steps in a round.
    """

    name: str
    what: str
    backbone: str
    tasks: int
    queries: int
    setting: Setting
    bar: float
    rounds: int
    count: int = 1

    def batch(self) -> TaskBatch:
        if self.setting.regression:
            return workloads.sinusoid_tasks(self.tasks, queries=self.queries)
        return workloads.glyph_tasks(self.tasks, self.queries)

    def ours(self, batch: TaskBatch) -> Metabench:
        chosen = {"inner_lr": self.setting.inner_lr, "inner_steps": self.setting.steps}
        benchmark = workloads.SINUSOID if self.setting.regression else workloads.GLYPHS
        backbone = {} if self.setting.regression else {"backbone": self.backbone}
        maml = workloads.make_maml(
            benchmark, first_order=self.setting.first_order, **chosen, **backbone
        )
        return Metabench(maml, batch)

    def network(self) -> torch.nn.Module:
        if self.setting.regression:
            return networks.mlp(1)
        return networks.conv4(5, strided=self.backbone == "conv4-strided")


def sinusoid(steps: int) -> Row:
    setting = Setting(0.01, steps, regression=True)
    what = f"MAML, sinusoid, {steps} inner step" + ("s" if steps > 1 else "")
    return Row(f"maml-sinusoid-{steps}", what, "mlp", 25, 10, setting, bar=8, rounds=21, count=4)


POOLED = Row(
    "maml-conv4",
    "MAML, second order, Conv4-64 with pooling, 5 inner steps",
    "conv4",
    tasks=16,
    queries=15,
    setting=Setting(0.05, 5),
    bar=1.5,
    rounds=9,
)
STRIDED = Row(
    "maml-strided",
    "MAML, second order, the paper's stride-2 Conv-64, 1 inner step",
    "conv4-strided",
    tasks=32,
    queries=1,
    setting=Setting(0.05, 1),
    bar=1.8,
    rounds=11,
)
FIRST_ORDER = Row(
    "fomaml-conv4",
    "first-order MAML, Conv4-64 with pooling, 5 inner steps",
    "conv4",
    tasks=16,
    queries=15,
    setting=Setting(0.05, 5, first_order=True),
    bar=2,
    rounds=7,
)


def flops(peer: Peer) -> int:
    """Returns the FLOPs of the products and convolutions of an outer step."""
    with FlopCounterMode(display=False) as counter:
        peer.gradient()
    return int(counter.get_total_flops())


def gradient_difference(ours: Metabench, peers: list[Peer]) -> float:
    """Returns the largest relative difference of a peer's outer gradient from metabench's."""
    mine = ours.gradient()
    return max(float((mine - peer.gradient()).norm() / mine.norm()) for peer in peers)


def check_same_gradient(row: Row, kinds: list[type[Peer]]) -> float:
    """Compare the outer gradients in both precisions; returns their difference in float32.

    The gradient of a max pool jumps where two of its inputs are equal, and rounding decides which
    one is the largest: in float32 each peer differs from its own gradient in float64 by more than
    the bound, so that only float64 shows whether two sides compute the same.
    """
    ours, peers = sides(row, kinds, torch.float64)
    with closing(ours):
        assert gradient_difference(ours, peers) <= SAME_IN_DOUBLE
    ours, peers = sides(row, kinds, torch.float32)
    with closing(ours):
        found = gradient_difference(ours, peers)
    assert found <= SAME or row.backbone == "conv4"
    return found


def sides(row: Row, kinds: list[type[Peer]], dtype: torch.dtype) -> tuple[Metabench, list[Peer]]:
    """Returns metabench and the peers with the same parameters and tasks; two tasks in float64."""
    batch = row.batch() if dtype == torch.float32 else workloads.as_double(row.batch()[:2])
    ours = row.ours(batch)
    ours.algorithm.to(dtype)
    network = networks.copy_into(row.network().to(dtype), ours.algorithm.learner)
    return ours, [kind(network, row.setting, batch) for kind in kinds]


ROWS = (sinusoid(1), sinusoid(5), POOLED, STRIDED, FIRST_ORDER)


def peak_memory(row: Row, side: str) -> float:
    """Returns the peak MiB of an outer step of a side, in a process of its own."""
    arguments = {"row": row.name, "side": side, "threads": torch.get_num_threads()}
    command = [sys.executable, "-m", "tests.performance.memory_probe", json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return round(float(done.stdout.splitlines()[-1]), 1)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_outer_steps_reach_the_required_speedup_over_the_fastest_peer(
    row: Row, l2l: ModuleType, comparison: Comparison
) -> None:
    compared = installed(row.setting)
    shown: list[type[Peer]] = [TorchFuncVmap] if row.setting.regression else []
    found = check_same_gradient(row, compared + shown)
    ours, all_peers = sides(row, compared + shown, torch.float32)
    peers, vmapped = all_peers[: len(compared)], all_peers[len(compared) :]
    operations = flops(next(peer for peer in peers if isinstance(peer, Learn2Learn)))
    memory = {
        side: peak_memory(row, side) for side in ("metabench", *(peer.name for peer in peers))
    }
    with closing(ours):
        figure = comparison.against_peers(
            row.name,
            ours.steps(row.count),
            {peer.name: peer.steps(row.count) for peer in peers},
            beside={peer.name: peer.steps(row.count) for peer in vmapped},
            rounds=row.rounds,
            unit="tasks",
            what=row.what,
            setting=_setting_of(row, ours.batch),
            bar=row.bar,
            extra={
                "gradients_apart": float(f"{found:.1e}"),
                "mflop_a_task": round(operations / row.tasks / 1e6, 3),
                "mb": memory,
            },
        )
    figure.extra |= _share_of_sgemm(figure.sides, operations / row.tasks)
    comparison.write(figure)
    assert figure.met, str(figure)


def _setting_of(row: Row, batch: TaskBatch) -> str:
    support, queries = batch.support_x.shape[1], batch.query_x.shape[1]
    return f"{row.tasks} tasks an outer step, {support} support and {queries} query examples a task"


def _share_of_sgemm(sides: dict[str, dict[str, float]], operations: float) -> dict[str, Any]:
    """Returns each side's share of the rate of one large matrix product."""
    most = ceilings()["sgemm_gflops"] * 1e9
    return {
        "share_of_sgemm": {
            s: round(rate["median"] * operations / most, 4) for s, rate in sides.items()
        }
    }
