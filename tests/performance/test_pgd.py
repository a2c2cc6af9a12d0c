"""PGD-20 on 5-way 1-shot episodes of ProtoNet against its 20 forward and backward passes alone.

Both sides attack the same episodes in batches, as the metric does, with one thread. The passes
compute only the gradient of the queries; the attack also draws a random start, projects, and
evaluates the result. All episodes take equally long, so a few of them represent 600.
"""

import dataclasses
import functools

import pytest
import torch
from torch.nn import functional as F

from metabench.algorithms.protonet import ProtoNet
from metabench.benchmarks.model import collect_benchmarks, load_suites
from metabench.benchmarks.tasks import open_tasks
from metabench.metrics.adversarial.ball import Ball
from metabench.metrics.adversarial.query_attacks import QueryAttacks
from metabench.metrics.trial import Trial
from metabench.plugins import installed_plugins
from tests.performance.comparison import Comparison
from tests.performance.figures import Figure
from tests.performance.machine import rates

EPISODES = 600
BATCH = 2
STEPS = 20
MAX_RATIO = 1.3
ROUNDS = 5


@pytest.fixture
def trial() -> Trial:
    registry = installed_plugins().registry
    benchmark = collect_benchmarks(load_suites(registry).values())["glyphs-5w1s"]
    tasks = open_tasks(registry, benchmark, None, torch.device("cpu"))
    torch.manual_seed(0)
    return Trial(ProtoNet(tasks.problem(registry)).eval(), tasks.held_out("test"), EPISODES)


@pytest.mark.usefixtures("one_thread")
def test_pgd_has_little_overhead_over_its_forward_and_backward_passes(
    trial: Trial, comparison: Comparison
) -> None:
    ball = Ball("linf", 0.1)
    attacks = QueryAttacks([ball], STEPS, restarts=1)
    starts = {side: iter(range(0, EPISODES, BATCH)) for side in ("attack", "passes")}

    def attack() -> int:
        indices = torch.arange(BATCH) + next(starts["attack"])
        batch = trial.sampler.tasks(indices)
        predict = trial.adapted(batch.support)
        with torch.no_grad():  # every query is classified correctly, so that every one is attacked
            batch = dataclasses.replace(batch, query_y=predict(batch.query_x).argmax(-1))
        found = attacks.pgd(predict, indices, batch, ball)
        assert bool((found != batch.query_x).flatten(2).any(-1).double().mean() > 0.9)
        return BATCH

    def passes() -> int:
        indices = torch.arange(BATCH) + next(starts["passes"])
        batch = trial.sampler.tasks(indices)
        predict = trial.algorithm.adapt_batch(batch.support)
        loss = functools.partial(F.cross_entropy, target=batch.query_y.flatten(), reduction="sum")
        for _ in range(STEPS):
            x = batch.query_x.detach().requires_grad_()
            torch.autograd.grad(loss(predict(x).flatten(0, 1)), x)
        return BATCH

    timings = comparison.interleave(attack, {"the passes alone": passes}, rounds=ROUNDS, warmup=2)
    figure = Figure(
        name="pgd",
        what="PGD-20 over its 20 forward and backward passes",
        setting=f"ProtoNet, Conv4-32, {BATCH} episodes at once, 5 ways, 15 queries",
        value=timings["metabench"].median / timings["the passes alone"].median,
        bar=MAX_RATIO,
        sense="at most",
        rounds=comparison.rounds(ROUNDS),
        rate_unit="episodes/s",
        sides=rates(timings),
    )
    comparison.write(figure)
    assert figure.met, str(figure)
