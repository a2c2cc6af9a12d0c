"""What holds for every method that treats each query alone: it learns, and depends on nothing else."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm
from metabench.algorithms.finetune import FineTune
from metabench.algorithms.finetune_cosine import FineTuneCosine
from metabench.algorithms.matchingnet import MatchingNet
from metabench.algorithms.nearest_mean import NearestMean
from metabench.algorithms.protonet import ProtoNet
from metabench.algorithms.r2d2 import R2D2
from metabench.algorithms.relationnet import RelationNet
from metabench.algorithms.task_embedding import TaskEmbedding
from metabench.datasets.base import ClassPool
from metabench.episodes import NWayKShot, Support, TaskBatch
from metabench.errors import NotApplicable
from metabench.plugins import installed_plugins
from metabench.recipes.hyperparameters import hyperparameters_for
from tests.helpers.few_shot import (
    VECTOR,
    accuracy,
    blobs,
    classification,
    make,
    regression,
    sampler_of,
    train,
)

EPISODIC: dict[str, Any] = {"train_ways": 20, "train_queries": 5}
METHODS: dict[str, tuple[type[Algorithm], dict[str, Any]]] = {
    "finetune": (FineTune, {"test_steps": 20}),
    "finetune-cosine": (FineTuneCosine, {"test_steps": 20}),
    "matchingnet": (MatchingNet, EPISODIC),
    "matchingnet-l2": (MatchingNet, EPISODIC | {"distance": "l2"}),
    "matchingnet-fce": (MatchingNet, EPISODIC | {"fce": True, "fce_steps": 2}),
    "protonet": (ProtoNet, EPISODIC),
    "r2d2": (R2D2, EPISODIC),
    "relationnet": (RelationNet, EPISODIC),
    "task-embedding": (TaskEmbedding, EPISODIC | {"tasks": 1}),
    "task-embedding-steps": (
        TaskEmbedding,
        EPISODIC | {"tasks": 1, "inner_steps": 1, "test_steps": 2},
    ),
}
MOVES = 1_200
"""Examples of glyphs that are enough to move all weights and statistics of a convolutional backbone."""
ORDERED = {"matchingnet-fce", "finetune", "finetune-cosine"}
"""The support examples come in an order, or in mini-batches that depend on it."""

Trained = Callable[[str], Algorithm]


def new(name: str, seed: int = 0) -> Algorithm:
    cls, chosen = METHODS[name]
    return make(cls, classification(), seed, **chosen)


@pytest.fixture(scope="session")
def _all_trained() -> dict[str, Algorithm]:
    return {}


@pytest.fixture
def trained(_all_trained: dict[str, Algorithm], train_glyphs: ClassPool) -> Trained:
    """A copy of a method that was trained, once, on some glyphs."""

    def get(name: str) -> Algorithm:
        if name not in _all_trained:
            _all_trained[name] = new(name)
            train(_all_trained[name], train_glyphs, MOVES)
        return copy.deepcopy(_all_trained[name])

    return get


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def exact(algorithm: Algorithm, episodes: TaskBatch) -> tuple[Algorithm, Support, Tensor]:
    """An algorithm and an episode in float64, where sums do not depend on their order."""
    task = next(iter(episodes[:1]))
    support = Support(task.support.x.double(), task.support.y, task.support.ways)
    return algorithm.double(), support, task.query_x.double()


def same(a: Tensor, b: Tensor, atol: float = 1e-8) -> bool:
    return torch.allclose(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "relationnet"])
def test_it_learns_which_inputs_matter(name: str) -> None:
    cls, chosen = METHODS[name]
    problem = classification(shape=VECTOR, backbone="mlp")
    episodes = sampler_of(blobs(40, seed=1), NWayKShot(5, 1, 5), "test").range(0, 40)
    algorithm = make(cls, problem, **chosen | {"lr": 1e-2})
    train(algorithm, blobs(100, seed=0), 40_000 if issubclass(cls, FineTune) else 16_000)
    assert accuracy(algorithm, episodes) > accuracy(NearestMean(problem), episodes) + 0.35


def test_relationnet_learns_to_compare_maps(train_glyphs: ClassPool, episodes: TaskBatch) -> None:
    algorithm = new("relationnet")
    train(algorithm, train_glyphs, 12_000)
    assert accuracy(algorithm, episodes) > accuracy(NearestMean(classification()), episodes) + 0.1


def test_the_same_seed_gives_the_same_bits(method: str, train_glyphs: ClassPool) -> None:
    states = []
    for _ in range(2):
        algorithm = new(method)
        train(algorithm, train_glyphs, 600)
        states.append(algorithm.state_dict())
    first, second = states
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_another_seed_gives_another_network(method: str) -> None:
    a, b = (torch.cat([p.flatten() for p in new(method, seed).parameters()]) for seed in (0, 1))
    assert not torch.equal(a, b)


def test_how_classes_are_numbered_does_not_matter(
    method: str, trained: Trained, episodes: TaskBatch
) -> None:
    algorithm, support, query = exact(trained(method), episodes)
    numbers = torch.tensor([2, 0, 4, 1, 3])
    renumbered = Support(support.x, numbers[support.y], support.ways)
    before, after = algorithm.adapt(support)(query), algorithm.adapt(renumbered)(query)
    assert same(after[:, numbers], before)


def test_the_order_of_the_support_set_does_not_matter(
    method: str, trained: Trained, episodes: TaskBatch
) -> None:
    if method in ORDERED:
        pytest.skip("reads the support set in an order")
    algorithm, support, query = exact(trained(method), episodes)
    order = torch.tensor([3, 1, 4, 0, 2])
    reordered = Support(support.x[order], support.y[order], support.ways)
    assert same(algorithm.adapt(reordered)(query), algorithm.adapt(support)(query))


def test_no_episode_leaves_a_trace(method: str, trained: Trained, episodes: TaskBatch) -> None:
    algorithm = trained(method)
    first, second, *_ = episodes
    state = {name: tensor.clone() for name, tensor in algorithm.state_dict().items()}
    before = algorithm.adapt(first.support)(first.query_x)
    algorithm.adapt(second.support)(second.query_x)
    assert torch.equal(algorithm.adapt(first.support)(first.query_x), before)
    assert all(torch.equal(tensor, state[name]) for name, tensor in algorithm.state_dict().items())


def queries_stand_alone(algorithm: Algorithm, support: Support, query: Tensor) -> bool:
    predict = algorithm.adapt(support)
    together, alone = predict(query), torch.cat([predict(q) for q in query.split(1)])
    return same(together, alone)


def test_no_query_depends_on_another(method: str, trained: Trained, episodes: TaskBatch) -> None:
    assert queries_stand_alone(*exact(trained(method), episodes))


def test_the_statistics_of_the_queries_would_be_noticed(
    method: str, trained: Trained, episodes: TaskBatch
) -> None:
    algorithm, support, query = exact(trained(method), episodes)
    predict = algorithm.adapt(support)
    algorithm.train()  # batch norm now takes the statistics of whatever is predicted together
    together = predict(query)
    assert not same(predict(query[:5]), together[:5])
    assert not same(predict(query.flip(0)[:5]), together.flip(0)[:5])


def test_many_tasks_at_once_are_the_tasks_one_by_one(
    method: str, trained: Trained, episodes: TaskBatch
) -> None:
    algorithm = trained(method).double()
    batch = episodes[:3]
    support = Support(batch.support_x.double(), batch.support_y, batch.ways)
    at_once = algorithm.adapt_batch(support)(batch.query_x.double())
    for i in range(3):
        alone = Support(support.x[i], support.y[i], batch.ways)
        assert same(algorithm.adapt(alone)(batch.query_x[i].double()), at_once[i])


@pytest.mark.parametrize("name", ["finetune", "finetune-cosine", "task-embedding-steps"])
def test_the_path_of_inner_steps_ends_where_adapting_does(
    name: str, trained: Trained, episodes: TaskBatch
) -> None:
    algorithm, support, query = exact(trained(name), episodes)
    steps = METHODS[name][1]["test_steps"]
    path = [predict(query) for predict in algorithm.adapt_path(support, steps)]
    assert len(path) == steps + 1
    assert same(path[-1], algorithm.adapt(support)(query))
    assert not same(path[0], path[-1])


def test_a_saved_method_scores_the_same(method: str, trained: Trained, episodes: TaskBatch) -> None:
    algorithm, task = trained(method), next(iter(episodes))
    loaded = new(method, seed=1)
    loaded.load_state_dict(algorithm.state_dict())
    loaded.eval()
    assert torch.equal(
        loaded.adapt(task.support)(task.query_x), algorithm.adapt(task.support)(task.query_x)
    )


def test_a_predictor_is_differentiable_in_its_input(
    method: str, trained: Trained, episodes: TaskBatch
) -> None:
    algorithm, support, query = exact(trained(method), episodes)
    query = query.requires_grad_()
    predictions = algorithm.adapt(support)(query)
    (gradient,) = torch.autograd.grad(predictions[:, 0].sum(), query)
    assert bool((gradient != 0).any())


@pytest.mark.parametrize(
    "cls", [FineTuneCosine, MatchingNet, NearestMean, ProtoNet, R2D2, RelationNet]
)
def test_regression_is_declined_in_a_sentence(cls: type[Algorithm]) -> None:
    with pytest.raises(
        NotApplicable, match=rf"^{cls.name} classifies, and this benchmark is regression\.$"
    ):
        cls(regression())


@pytest.mark.parametrize("ways", [5, 20])
@pytest.mark.parametrize("shots", [1, 5])
def test_recipes_hold_real_hyper_parameters(method: str, ways: int, shots: int) -> None:
    cls, _ = METHODS[method]
    problem = classification(ways, shots)
    values = hyperparameters_for(installed_plugins().registry, cls, problem, {})
    values.pop("budget", None)
    cls(problem, **values)
