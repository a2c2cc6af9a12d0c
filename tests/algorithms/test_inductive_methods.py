"""Properties of every algorithm that predicts each query from the support set alone."""

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
TRAINING_EXAMPLES = 1_200
"""Examples of glyphs that change every weight and statistic of a convolutional backbone."""
ORDERED = {"matchingnet-fce", "finetune", "finetune-cosine"}
"""Methods that read the support set as a sequence, or in mini-batches of its order."""

Trained = Callable[[str], Algorithm]


def untrained(name: str, seed: int = 0) -> Algorithm:
    cls, chosen = METHODS[name]
    return make(cls, classification(), seed, **chosen)


@pytest.fixture(scope="session")
def _trained_methods() -> dict[str, Algorithm]:
    return {}


@pytest.fixture
def trained(_trained_methods: dict[str, Algorithm], train_glyphs: ClassPool) -> Trained:
    """Returns copies of methods, each of which is trained once on glyphs."""

    def get(name: str) -> Algorithm:
        if name not in _trained_methods:
            _trained_methods[name] = untrained(name)
            train(_trained_methods[name], train_glyphs, TRAINING_EXAMPLES)
        return copy.deepcopy(_trained_methods[name])

    return get


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def in_float64(algorithm: Algorithm, episodes: TaskBatch) -> tuple[Algorithm, Support, Tensor]:
    """Returns an algorithm and an episode in float64, where the order of a sum does not matter."""
    task = next(iter(episodes[:1]))
    support = Support(task.support.x.double(), task.support.y, task.support.ways)
    return algorithm.double(), support, task.query_x.double()


def same(a: Tensor, b: Tensor, atol: float = 1e-8) -> bool:
    return torch.allclose(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "relationnet"])
def test_a_method_learns_which_features_carry_the_class(name: str) -> None:
    cls, chosen = METHODS[name]
    problem = classification(shape=VECTOR, backbone="mlp")
    episodes = sampler_of(blobs(40, seed=1), NWayKShot(5, 1, 5), "test").range(0, 40)
    algorithm = make(cls, problem, **chosen | {"lr": 1e-2})
    train(algorithm, blobs(100, seed=0), 40_000 if issubclass(cls, FineTune) else 16_000)
    assert accuracy(algorithm, episodes) > accuracy(NearestMean(problem), episodes) + 0.35


def test_relationnet_learns_to_compare_feature_maps(
    train_glyphs: ClassPool, episodes: TaskBatch
) -> None:
    algorithm = untrained("relationnet")
    train(algorithm, train_glyphs, 12_000)
    assert accuracy(algorithm, episodes) > accuracy(NearestMean(classification()), episodes) + 0.1


def test_the_same_seed_gives_the_same_bits(method: str, train_glyphs: ClassPool) -> None:
    states = []
    for _ in range(2):
        algorithm = untrained(method)
        train(algorithm, train_glyphs, 600)
        states.append(algorithm.state_dict())
    first, second = states
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_another_seed_gives_other_parameters(method: str) -> None:
    a, b = (
        torch.cat([p.flatten() for p in untrained(method, seed).parameters()]) for seed in (0, 1)
    )
    assert not torch.equal(a, b)


def test_the_numbering_of_the_classes_does_not_matter(
    method: str, trained: Trained, episodes: TaskBatch
) -> None:
    algorithm, support, query = in_float64(trained(method), episodes)
    numbers = torch.tensor([2, 0, 4, 1, 3])
    renumbered = Support(support.x, numbers[support.y], support.ways)
    before, after = algorithm.adapt(support)(query), algorithm.adapt(renumbered)(query)
    assert same(after[:, numbers], before)


def test_the_order_of_the_support_set_does_not_matter(
    method: str, trained: Trained, episodes: TaskBatch
) -> None:
    if method in ORDERED:
        pytest.skip("reads the support set in an order")
    algorithm, support, query = in_float64(trained(method), episodes)
    order = torch.tensor([3, 1, 4, 0, 2])
    reordered = Support(support.x[order], support.y[order], support.ways)
    assert same(algorithm.adapt(reordered)(query), algorithm.adapt(support)(query))


def test_an_episode_does_not_change_the_algorithm(
    method: str, trained: Trained, episodes: TaskBatch
) -> None:
    algorithm = trained(method)
    first, second, *_ = episodes
    state = {name: tensor.clone() for name, tensor in algorithm.state_dict().items()}
    before = algorithm.adapt(first.support)(first.query_x)
    algorithm.adapt(second.support)(second.query_x)
    assert torch.equal(algorithm.adapt(first.support)(first.query_x), before)
    assert all(torch.equal(tensor, state[name]) for name, tensor in algorithm.state_dict().items())


def queries_are_independent(algorithm: Algorithm, support: Support, query: Tensor) -> bool:
    predict = algorithm.adapt(support)
    together, alone = predict(query), torch.cat([predict(q) for q in query.split(1)])
    return same(together, alone)


def test_queries_are_predicted_independently(
    method: str, trained: Trained, episodes: TaskBatch
) -> None:
    assert queries_are_independent(*in_float64(trained(method), episodes))


def test_batch_statistics_of_the_queries_are_detected(
    method: str, trained: Trained, episodes: TaskBatch
) -> None:
    algorithm, support, query = in_float64(trained(method), episodes)
    predict = algorithm.adapt(support)
    algorithm.train()  # batch norm now uses the statistics of the queries
    together = predict(query)
    assert not same(predict(query[:5]), together[:5])
    assert not same(predict(query.flip(0)[:5]), together.flip(0)[:5])


def test_a_batch_of_tasks_is_adapted_as_each_task_alone(
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
def test_the_last_predictor_of_adapt_path_is_that_of_adapt(
    name: str, trained: Trained, episodes: TaskBatch
) -> None:
    algorithm, support, query = in_float64(trained(name), episodes)
    steps = METHODS[name][1]["test_steps"]
    path = [predict(query) for predict in algorithm.adapt_path(support, steps)]
    assert len(path) == steps + 1
    assert same(path[-1], algorithm.adapt(support)(query))
    assert not same(path[0], path[-1])


def test_a_saved_and_loaded_algorithm_predicts_the_same(
    method: str, trained: Trained, episodes: TaskBatch
) -> None:
    algorithm, task = trained(method), next(iter(episodes))
    loaded = untrained(method, seed=1)
    loaded.load_state_dict(algorithm.state_dict())
    loaded.eval()
    assert torch.equal(
        loaded.adapt(task.support)(task.query_x), algorithm.adapt(task.support)(task.query_x)
    )


def test_a_predictor_is_differentiable_in_its_input(
    method: str, trained: Trained, episodes: TaskBatch
) -> None:
    algorithm, support, query = in_float64(trained(method), episodes)
    query = query.requires_grad_()
    predictions = algorithm.adapt(support)(query)
    (gradient,) = torch.autograd.grad(predictions[:, 0].sum(), query)
    assert bool((gradient != 0).any())


@pytest.mark.parametrize(
    "cls", [FineTuneCosine, MatchingNet, NearestMean, ProtoNet, R2D2, RelationNet]
)
def test_regression_is_not_applicable(cls: type[Algorithm]) -> None:
    with pytest.raises(
        NotApplicable, match=rf"^{cls.name} classifies, and this benchmark is regression\.$"
    ):
        cls(regression())


@pytest.mark.parametrize("ways", [5, 20])
@pytest.mark.parametrize("shots", [1, 5])
def test_the_recipe_constructs_the_algorithm(method: str, ways: int, shots: int) -> None:
    cls, _ = METHODS[method]
    problem = classification(ways, shots)
    values = hyperparameters_for(installed_plugins().registry, cls, problem, {})
    values.pop("budget", None)
    cls(problem, **values)
