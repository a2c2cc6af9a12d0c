"""Meta-test of ProtoNet and MAML on 600 frozen episodes against the loops of the peers.

Metabench draws the episodes, adapts, predicts and checks the predictions
(:class:`metabench.metrics.trial.Trial`). The peers have the episodes in memory, keep no graph that
they do not need, and give the same predictions. All episodes cost the same, so 60 are timed.
"""

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad

from metabench.algorithms.base import Algorithm
from metabench.algorithms.protonet import ProtoNet
from metabench.episodes import Task, TaskBatch
from metabench.metrics.trial import Trial
from tests.performance import networks, recipes, workloads
from tests.performance.comparison import Comparison
from tests.performance.outer_steps import EveryParameter, Setting
from tests.performance.workloads import as_double

EPISODES = 60
ROUNDS = 7
BAR = 2.0
WAYS, SHOTS, QUERIES = 5, 1, 15
STEPS, INNER_LR = 5, 0.05
SAME = 1e-8

Predict = Callable[[Task], Tensor]


Make = Callable[[ModuleType, torch.dtype], tuple[Algorithm, dict[str, Predict]]]


def protonet(l2l: ModuleType, dtype: torch.dtype) -> tuple[Algorithm, dict[str, Predict]]:
    problem = workloads.open_benchmark(workloads.GLYPHS).problem(workloads.registry())
    torch.manual_seed(0)
    ours = ProtoNet(problem, backbone="conv4").to(dtype).eval()
    model = networks.copy_into(recipes.embedding().to(dtype), ours.embed).eval()

    def recipe(task: Task) -> Tensor:
        with torch.no_grad():  # the example has none
            data = torch.cat([task.support.x, task.query_x])
            labels = torch.cat([task.support.y, task.query_y])
            return recipes.prototypical_logits(model, data, labels, WAYS, SHOTS, QUERIES)[0]

    return ours, {"learn2learn": recipe}


def maml(l2l: ModuleType, dtype: torch.dtype) -> tuple[Algorithm, dict[str, Predict]]:
    ours: EveryParameter = workloads.make_maml(
        workloads.GLYPHS, inner_lr=INNER_LR, test_steps=STEPS, backbone="conv4"
    )
    ours.to(dtype)
    network = networks.copy_into(networks.conv4(5, strided=False).to(dtype), ours.learner)
    return ours.eval(), maml_loops(l2l, network)


def maml_loops(l2l: ModuleType, network: torch.nn.Module) -> dict[str, Predict]:
    higher = pytest.importorskip("higher")
    loss = Setting(INNER_LR, STEPS).loss
    # First order keeps no graph of the inner gradients, which a test does not need.
    wrapped = l2l.algorithms.MAML(network, lr=INNER_LR, first_order=True)
    inner = torch.optim.SGD(network.parameters(), lr=INNER_LR)
    start = {name: p.detach() for name, p in network.named_parameters()}

    def by_learn2learn(task: Task) -> Tensor:
        learner = wrapped.clone()
        for _ in range(STEPS):
            learner.adapt(loss(learner(task.support.x), task.support.y))
        with torch.no_grad():
            return learner(task.query_x)

    def by_higher(task: Task) -> Tensor:
        with higher.innerloop_ctx(network, inner, track_higher_grads=False) as (learner, optimizer):
            for _ in range(STEPS):
                optimizer.step(loss(learner(task.support.x), task.support.y))
            with torch.no_grad():
                return learner(task.query_x)

    def support_loss(params: dict[str, Tensor], task: Task) -> Tensor:
        return loss(functional_call(network, params, (task.support.x,)), task.support.y)

    def by_torch_func(task: Task) -> Tensor:
        params = start
        for _ in range(STEPS):
            slopes = grad(support_loss)(params, task)
            params = {name: p - INNER_LR * slopes[name] for name, p in params.items()}
        with torch.no_grad():
            return functional_call(network, params, (task.query_x,))

    return {"learn2learn": by_learn2learn, "higher": by_higher, "torch.func loop": by_torch_func}


@pytest.mark.parametrize("make", [protonet, maml], ids=["protonet", "maml"])
def test_meta_test_reaches_the_required_speedup_over_the_loops_of_the_peers(
    make: Make, l2l: ModuleType, comparison: Comparison
) -> None:
    ours, peers = make(l2l, torch.float32)
    sampler = workloads.open_benchmark(workloads.GLYPHS).held_out("test")
    episodes = list(sampler.range(0, EPISODES))
    check_same_predictions(make, l2l, sampler.range(0, 2))

    def our_test() -> int:
        Trial(ours, sampler, EPISODES).predictions()
        return EPISODES

    def loop(predict: Predict) -> Callable[[], int]:
        def run() -> int:
            for task in episodes:
                predict(task)
            return EPISODES

        return run

    figure = comparison.against_peers(
        f"meta-test-{ours.name}",
        our_test,
        {name: loop(predict) for name, predict in peers.items()},
        rounds=ROUNDS,
        unit="episodes",
        what="meta-test of 600 episodes, "
        + ("ProtoNet" if ours.name == "protonet" else f"MAML, {STEPS} inner steps"),
        setting=f"Conv4-64, 5 ways, 1 shot, 15 queries; {EPISODES} episodes timed, "
        "each costs the same",
        bar=BAR,
    )
    assert figure.met, str(figure)


def check_same_predictions(make: Make, l2l: ModuleType, batch: TaskBatch) -> None:
    """Compare in float64: in float32 rounding decides ties of max pools. One peer sorts queries."""
    ours, peers = make(l2l, torch.float64)
    batch = as_double(batch)
    predictions = ours.adapt_batch(batch.support)(batch.query_x).detach()
    for mine, task in zip(predictions, batch, strict=True):
        for predict in peers.values():
            order = task.query_y.argsort(stable=True) if isinstance(ours, ProtoNet) else slice(None)
            torch.testing.assert_close(predict(task).detach(), mine[order], rtol=SAME, atol=SAME)
