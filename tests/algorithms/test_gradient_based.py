"""Properties of every algorithm that adapts in inner steps."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metabench.algorithms.anil import ANIL
from metabench.algorithms.base import Algorithm, Predictor
from metabench.algorithms.cavia import CAVIA
from metabench.algorithms.fomaml import FOMAML
from metabench.algorithms.from_scratch import FromScratch
from metabench.algorithms.maml import MAML
from metabench.algorithms.meta_lstm import MetaLSTM
from metabench.algorithms.meta_sgd import MetaSGD
from metabench.algorithms.multi_task import MultiTask
from metabench.algorithms.problem import Problem
from metabench.algorithms.reptile import Reptile
from metabench.episodes import Support, TaskStream
from metabench.errors import DivergedError, UsageError
from tests.helpers.gradient_kit import (
    LEARNED_HEAD,
    Lines,
    Tasks,
    build,
    classification,
    cost_of_a_batch,
    regression,
    score,
    train,
)

METHODS: list[Any] = [MAML, FOMAML, ANIL, Reptile, MetaSGD, CAVIA, MetaLSTM, FromScratch, MultiTask]
WITH_ZERO_HEAD: list[Any] = [FromScratch, MultiTask]
"""Methods that start each task from a head of zeros: the numbering of the classes does not matter.

The others learn a head with a column for each label, and are invariant only on average over all
numberings.
"""
WITH_LEARNED_HEAD: list[Any] = [m for m in METHODS if m not in WITH_ZERO_HEAD]

PROBLEMS = {"blobs": classification(), "pictures": classification("conv"), "sinusoid": regression()}
BOTH = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=list(PROBLEMS))
EVERY = pytest.mark.parametrize("cls", METHODS, ids=[m.name for m in METHODS])

# Rates for networks of a few dozen units and budgets of a second; outer steps; the score to reach.
BLOBS: dict[Any, tuple[dict[str, Any], int, float]] = {
    MAML: ({"inner_lr": 0.5, "outer_lr": 1e-2, "tasks": 8}, 150, 0.75),
    FOMAML: ({"inner_lr": 0.5, "outer_lr": 1e-2, "tasks": 8}, 150, 0.75),
    ANIL: ({"inner_lr": 0.5, "outer_lr": 1e-2, "tasks": 8}, 150, 0.75),
    Reptile: ({"inner_lr": 1e-2, "test_steps": 20}, 150, 0.75),
    MetaSGD: ({"outer_lr": 2e-2, "tasks": 8}, 150, 0.7),
    CAVIA: ({"outer_lr": 1e-2, "tasks": 8, "context": 20}, 300, 0.6),
    MetaLSTM: ({"outer_lr": 1e-2, "tasks": 4, "inner_steps": 5, "hidden": 8}, 150, 0.75),
    FromScratch: ({"lr": 1e-2}, 0, 0.75),
    MultiTask: ({"lr": 1e-2}, 50, 0.75),
}
LINES: dict[Any, tuple[dict[str, Any], int, float]] = {
    MAML: ({"outer_lr": 1e-2, "inner_lr": 0.1}, 300, 0.2),
    FOMAML: ({"outer_lr": 1e-2, "inner_lr": 0.1}, 300, 0.2),
    ANIL: ({"outer_lr": 1e-2, "inner_lr": 0.1}, 300, 0.2),
    Reptile: ({"train_shots": 10}, 300, 0.2),
    MetaSGD: ({"outer_lr": 1e-2}, 300, 0.2),
    CAVIA: ({"outer_lr": 1e-2}, 300, 0.2),
    MetaLSTM: ({"outer_lr": 1e-2, "tasks": 5, "inner_steps": 3, "hidden": 8}, 150, 0.5),
    FromScratch: ({"lr": 1e-2, "test_steps": 50}, 0, 0.2),
    MultiTask: ({"test_lr": 0.1, "test_steps": 5}, 50, 0.2),
}


@EVERY
def test_a_method_learns_to_classify(cls: Any) -> None:
    options, outer_steps, wanted = BLOBS[cls]
    algorithm = build(cls, classification(), double=False, **options)
    if outer_steps:
        train(algorithm, outer_steps)
    batch = Tasks(algorithm.problem).test(100)
    assert score(algorithm.eval(), batch, 0) < 0.45  # chance is 0.33
    assert score(algorithm, batch) > wanted


@EVERY
def test_a_method_learns_to_regress(cls: Any) -> None:
    options, outer_steps, wanted = LINES[cls]
    algorithm = build(cls, regression(), double=False, **options)
    enlarge_weights(algorithm.learner)
    if outer_steps:
        train(algorithm, outer_steps, family=Lines())
    batch = Tasks(algorithm.problem, family=Lines()).test(200)
    assert score(algorithm.eval(), batch) < wanted * score(algorithm, batch, 0)


def enlarge_weights(network: nn.Module) -> None:
    """Enlarge small initial weights: training from a scale of 0.01 takes thousands of steps."""
    with torch.no_grad():
        for p in network.parameters():
            if p.ndim > 1 and p.std() < 0.02:
                p.normal_(std=p.shape[0] ** -0.5)


@EVERY
@BOTH
def test_the_same_seed_gives_the_same_bits(cls: Any, problem: Problem) -> None:
    states = []
    for _ in range(2):
        algorithm = build(cls, problem, double=False, **small_options(cls))
        train(algorithm, 2)
        states.append(algorithm.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("cls", [m for m in METHODS if m.offers("meta_train")])
def test_another_seed_gives_other_parameters(cls: Any) -> None:
    first, second = (build(cls, classification(), seed=seed) for seed in (0, 1))
    train(first, 2), train(second, 2)
    assert any(
        not torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True)
    )


@EVERY
@BOTH
def test_a_batch_of_tasks_is_adapted_as_each_task_alone(cls: Any, problem: Problem) -> None:
    algorithm = trained(cls, problem)
    batch = Tasks(problem, torch.float64).test(3)
    together = algorithm.adapt_batch(batch.support)(batch.query_x)
    for t, task in enumerate(batch):
        torch.testing.assert_close(algorithm.adapt(task.support)(task.query_x), together[t])


@EVERY
@BOTH
def test_the_last_predictor_of_adapt_path_is_that_of_adapt(cls: Any, problem: Problem) -> None:
    algorithm = trained(cls, problem)
    task = next(iter(Tasks(problem, torch.float64).test(1)))
    path = list(algorithm.adapt_path(task.support, algorithm.test_steps))
    assert len(path) == algorithm.test_steps + 1
    adapted = algorithm.adapt(task.support)(task.query_x)
    torch.testing.assert_close(path[-1](task.query_x), adapted)
    assert not torch.allclose(path[0](task.query_x), adapted)


class ChangesItsInitialisation(MAML):
    """Violates the contract: an episode changes the initialisation of the next."""

    def trajectory(self, support: Support) -> Iterator[Predictor]:
        found = super().trajectory(support)
        yield next(found)
        for step in found:
            with torch.no_grad():
                self.learner.head.bias += 0.1
            yield step


def check_no_state(cls: Any, problem: Problem) -> None:
    algorithm = trained(cls, problem)
    before = {name: value.clone() for name, value in algorithm.state_dict().items()}
    first, second = Tasks(problem, torch.float64).test(2)
    once = algorithm.adapt(first.support)
    expected = once(first.query_x)
    algorithm.adapt(second.support)(second.query_x)
    assert torch.equal(algorithm.adapt(first.support)(first.query_x), expected)
    assert torch.equal(once(first.query_x), expected)
    assert all(torch.equal(value, before[name]) for name, value in algorithm.state_dict().items())


@EVERY
@BOTH
def test_an_episode_does_not_change_the_algorithm(cls: Any, problem: Problem) -> None:
    check_no_state(cls, problem)


def test_state_that_leaks_between_episodes_is_detected() -> None:
    with pytest.raises(AssertionError):
        check_no_state(ChangesItsInitialisation, PROBLEMS["blobs"])


@EVERY
@BOTH
def test_a_saved_and_loaded_algorithm_predicts_the_same(cls: Any, problem: Problem) -> None:
    algorithm = trained(cls, problem)
    other = build(cls, problem, seed=9, **small_options(cls))
    other.load_state_dict(algorithm.state_dict())
    batch = Tasks(problem, torch.float64).test(3)
    predictions = [a.eval().adapt_batch(batch.support)(batch.query_x) for a in (algorithm, other)]
    assert torch.equal(*predictions)


@pytest.mark.parametrize("cls", [m for m in METHODS if m.offers("meta_train")])
@BOTH
def test_a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(
    cls: Any, problem: Problem
) -> None:
    tasks = Tasks(problem)
    algorithm = build(cls, problem, double=False, **small_options(cls))
    budget = 6 * cost_of_a_batch(algorithm)
    checkpoint: dict[str, Any] = {}

    def save(stream: TaskStream) -> None:
        if stream.steps == 3:
            state = {"algorithm": algorithm.state_dict(), "stream": stream.state_dict()}
            checkpoint.update(copy.deepcopy(state), random=torch.get_rng_state())

    algorithm.train().meta_train(TaskStream(tasks, tasks.protocol, budget, on_step=save))
    resumed = build(cls, problem, seed=9, double=False, **small_options(cls))
    resumed.load_state_dict(checkpoint["algorithm"])
    stream = tasks.stream(budget)
    stream.load_state_dict(checkpoint["stream"])
    torch.set_rng_state(checkpoint["random"])
    resumed.train().meta_train(stream)
    expected = algorithm.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())


@pytest.mark.parametrize("cls", WITH_ZERO_HEAD)
@pytest.mark.parametrize("name", ["blobs", "pictures"])
def test_the_numbering_of_the_classes_does_not_matter(cls: Any, name: str) -> None:
    algorithm = trained(cls, PROBLEMS[name])
    batch = Tasks(algorithm.problem, torch.float64).test(3)
    order = torch.tensor([2, 0, 1])
    renumbered = Support(batch.support_x, order[batch.support_y], batch.ways)
    plain, other = (algorithm.adapt_batch(s)(batch.query_x) for s in (batch.support, renumbered))
    torch.testing.assert_close(other[..., order], plain)


@pytest.mark.parametrize("cls", WITH_LEARNED_HEAD)
@pytest.mark.parametrize("name", ["blobs", "pictures"])
def test_only_a_learned_head_depends_on_the_numbering_of_the_classes(cls: Any, name: str) -> None:
    learned = LEARNED_HEAD if cls in (MAML, FOMAML, ANIL, Reptile, MetaSGD, MetaLSTM) else {}
    algorithm = build(cls, PROBLEMS[name], **small_options(cls), **learned).eval()
    batch = Tasks(algorithm.problem, torch.float64).test(3)
    order = torch.tensor([2, 0, 1])
    renumbered = Support(batch.support_x, order[batch.support_y], batch.ways)
    plain = algorithm.adapt_batch(batch.support)(batch.query_x)
    assert not torch.allclose(algorithm.adapt_batch(renumbered)(batch.query_x)[..., order], plain)
    renumber_head(algorithm.learner.head, order)
    torch.testing.assert_close(algorithm.adapt_batch(renumbered)(batch.query_x)[..., order], plain)


def renumber_head(head: nn.Module, order: Tensor) -> None:
    with torch.no_grad():
        for p in head.parameters():
            p[..., order] = p.clone()


@EVERY
def test_in_evaluation_the_autograd_graph_does_not_grow_with_the_steps(cls: Any) -> None:
    algorithm = build(cls, regression(), double=False).eval()
    support = Tasks(algorithm.problem).test(1).support
    x = torch.zeros(1, 1, 1)
    depths = [
        graph_size(predict(x))
        for predict, _ in zip(algorithm.trajectory(support), range(4), strict=False)
    ]
    assert depths[3] <= depths[1]
    algorithm.train()
    depths = [
        graph_size(predict(x))
        for predict, _ in zip(algorithm.trajectory(support), range(4), strict=False)
    ]
    assert depths[3] > depths[1] or cls is Reptile  # Reptile needs no graph


def graph_size(output: Tensor) -> int:
    waiting, seen = [output.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [parent for parent, _ in node.next_functions]
    return len(seen)


INNER = "the inner loop exploded at inner step 1 of {}"
OUTER = "it is not finite before the first inner step either"


@pytest.mark.parametrize(
    ("cls", "options", "cause"),
    [
        (MAML, {"inner_lr": 1e200}, INNER.format(1)),
        (FOMAML, {"inner_lr": 1e200}, INNER.format(1)),
        (ANIL, {"inner_lr": 1e200}, INNER.format(1)),
        (CAVIA, {"inner_lr": 1e200}, INNER.format(1)),
        (Reptile, {"inner_lr": 1e200}, INNER.format(5)),
        (MetaSGD, {"outer_lr": 1e200}, OUTER),
        (MetaLSTM, {"outer_lr": 1e200}, OUTER),
        (MultiTask, {"lr": 1e200}, ""),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_divergence_is_reported_with_the_outer_and_the_inner_step(
    cls: Any, options: dict[str, float], cause: str
) -> None:
    algorithm = build(cls, regression(), **options)
    with pytest.raises(
        DivergedError, match=rf"the outer loss is (nan|inf) at outer step \d+.*{cause}\."
    ):
        train(algorithm, 10)


@EVERY
def test_a_predictor_is_differentiable_in_its_input(cls: Any) -> None:
    algorithm = trained(cls, classification("conv"))
    batch = Tasks(algorithm.problem, torch.float64).test(1)
    x = batch.query_x.clone().requires_grad_()
    predict = algorithm.adapt_batch(batch.support)
    (slope,) = torch.autograd.grad(predict(x).square().sum(), x)
    assert slope.abs().sum() > 0


@EVERY
def test_an_unknown_backbone_is_a_usage_error(cls: type[Algorithm]) -> None:
    with pytest.raises(UsageError, match="unknown backbone 'resnet'"):
        build(cls, classification(), **{"backbone": "resnet"})


def small_options(cls: Any) -> dict[str, Any]:
    return {"channels": 3, "hidden": 4, "inner_steps": 3} if cls is MetaLSTM else {}


def trained(cls: Any, problem: Problem) -> Any:
    """Returns an algorithm after two outer steps, so that its buffers are not at their start."""
    algorithm = build(cls, problem, **small_options(cls))
    if cls.offers("meta_train"):
        train(algorithm, 2)
    return algorithm.eval()
