"""ProtoNet's meta-training in examples per second against learn2learn's example, same network.

Both sides draw episodes of 30 classes, 1 shot and 15 queries from the same images in memory, one
for each step of Adam. Metabench has the settings of the example: the rotation of the support set
(``turns``), shifts and mirrored classes are off.
"""

from types import ModuleType
from typing import Any

import torch
from torch.nn import functional as F

from metabench.algorithms.protonet import ProtoNet
from metabench.episodes import NWayKShot, TaskStream
from tests.performance import networks, recipes, workloads
from tests.performance.comparison import Comparison

WAYS, SHOTS, QUERIES = 30, 1, 15
LR = 1e-6
STEPS = 4
ROUNDS = 9
BAR = 1.5
PLAIN: dict[str, Any] = {"turns": False, "shift": 0, "mirror": False, "backbone": "conv4"}
EXAMPLES = WAYS * (SHOTS + QUERIES)


def test_meta_training_reaches_the_required_speedup_over_learn2learn(
    l2l: ModuleType, comparison: Comparison
) -> None:
    benchmark = workloads.open_benchmark(workloads.GLYPHS)
    torch.manual_seed(0)
    problem = benchmark.problem(workloads.registry())
    ours = ProtoNet(problem, train_ways=WAYS, train_queries=QUERIES, lr=LR, **PLAIN).train()
    model = networks.copy_into(recipes.embedding(), ours.embed)
    check_same_gradient(ours, model)

    tasks = recipes.task_set(l2l, benchmark.pools["train"].images, WAYS, SHOTS + QUERIES)
    train = recipes.prototypical_training(tasks, model, WAYS, SHOTS, QUERIES, LR)

    def our_steps() -> int:
        ours.meta_train(TaskStream(benchmark, benchmark.benchmark.protocol, STEPS * EXAMPLES))
        return STEPS * EXAMPLES

    def recipe() -> int:
        train(STEPS)
        return STEPS * EXAMPLES

    figure = comparison.against_peers(
        "protonet-training",
        our_steps,
        {"learn2learn": recipe},
        rounds=ROUNDS,
        unit="examples",
        what="ProtoNet, meta-training, Conv4-64",
        setting=f"{WAYS} ways, {SHOTS} shot, {QUERIES} queries of 28x28, an episode a step, "
        "drawing included",
        bar=BAR,
    )
    assert figure.met, str(figure)


def check_same_gradient(ours: ProtoNet, model: torch.nn.Module) -> None:
    """Compare the gradients in float64: rounding decides ties of max pools in float32."""
    benchmark = workloads.open_benchmark(workloads.GLYPHS)
    batch = benchmark.sampler(NWayKShot(WAYS, SHOTS, QUERIES), 0).range(0, 1)
    x = torch.cat([batch.support_x, batch.query_x], 1).double()
    y = torch.cat([batch.support_y, batch.query_y], 1)
    ours.double()
    features = ours.features(x)
    support, query = features.split([batch.support_x.shape[1], batch.query_x.shape[1]], 1)
    labelled = type(batch.support)(support, batch.support_y, WAYS)
    loss = ours.problem.loss(ours.classifier(labelled, support)(query), batch.query_y).mean()
    mine = torch.autograd.grad(loss, list(ours.embed.parameters()))
    model.double()
    logits, labels = recipes.prototypical_logits(model, x[0], y[0], WAYS, SHOTS, QUERIES)
    theirs = torch.autograd.grad(F.cross_entropy(logits, labels), list(model.parameters()))
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-10)
    ours.float(), model.float()
