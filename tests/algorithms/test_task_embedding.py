"""The task vector, and the learner that it generates."""

import itertools

import pytest
import torch
from torch import Tensor

from metabench.algorithms.task_embedding import TaskEmbedding
from metabench.backbones.mlp import MLP
from metabench.datasets.base import ClassPool
from metabench.datasets.glyphs import Glyphs
from metabench.datasets.sinusoid import Sinusoid
from metabench.episodes import Support, TaskBatch
from metabench.learning.film import FiLM
from tests.helpers.few_shot import classification, make, regression, train

CHARACTERS = 10
SHOTS = 10


def make_tiny(**chosen: object) -> TaskEmbedding:
    algorithm = make(TaskEmbedding, classification(3, 2, (6,), "mlp"), **chosen)
    assert isinstance(algorithm, TaskEmbedding)
    return algorithm.double().eval()


def with_random_generators(algorithm: TaskEmbedding) -> TaskEmbedding:
    """Give an algorithm generators whose task vectors have an effect."""
    torch.manual_seed(1)
    with torch.no_grad():
        for p in (algorithm.film.generate.weight, algorithm.head.weight):
            p.normal_(std=0.1)
    return algorithm


@pytest.fixture
def support() -> Support:
    x = torch.randn(6, 6, generator=torch.Generator().manual_seed(1)).double()
    return Support(x, torch.tensor([0, 2, 1, 1, 0, 2]), 3)


@pytest.fixture
def query() -> Tensor:
    return torch.randn(4, 6, generator=torch.Generator().manual_seed(2)).double()


def test_it_starts_as_a_prototypical_network(support: Support, query: Tensor) -> None:
    algorithm = make_tiny()
    f = algorithm.body(support.x)
    means = torch.stack([f[support.y == k].mean(0) for k in range(3)])
    distances = torch.stack([((q - means) ** 2).sum(-1) for q in algorithm.body(query)])
    assert torch.allclose(algorithm.adapt(support)(query).softmax(-1), (-distances).softmax(-1))


def test_the_task_vector_generates_the_metric_and_the_backbone(
    support: Support, query: Tensor
) -> None:
    algorithm = with_random_generators(make_tiny())
    vector = algorithm.embed(support)
    body = {k: p[0] for k, p in algorithm.film(algorithm.body, vector.unsqueeze(0)).items()}
    f, g = (algorithm.body.forward_with(body, x) for x in (support.x, query))
    weights = algorithm.head(vector).exp()
    means = torch.stack([f[support.y == k].mean(0) for k in range(3)])
    distances = torch.stack([(weights * (q - means) ** 2).sum(-1) for q in g])
    assert torch.allclose(algorithm.adapt(support)(query).softmax(-1), (-distances).softmax(-1))


def test_the_task_vector_depends_on_neither_order_nor_numbering(support: Support) -> None:
    algorithm, order = make_tiny(), torch.tensor([5, 3, 1, 0, 2, 4])
    vector = algorithm.embed(support)
    assert torch.allclose(algorithm.embed(Support(support.x[order], support.y[order], 3)), vector)
    renamed = Support(support.x, torch.tensor([2, 0, 1])[support.y], 3)
    assert torch.allclose(algorithm.embed(renamed), vector)


def test_the_task_vector_depends_on_the_grouping_into_classes(support: Support) -> None:
    regrouped = Support(support.x, support.y.flip(0).roll(1), 3)
    algorithm = make_tiny()
    assert not torch.allclose(algorithm.embed(regrouped), algorithm.embed(support))


def test_film_starts_as_the_identity_and_then_scales_and_shifts() -> None:
    network = MLP((3,), hidden=(4,)).double()
    film, z = FiLM(network, 2).double(), torch.randn(5, 2, dtype=torch.float64)
    for name, p in network.named_parameters():
        assert torch.equal(film(network, z)[name], p.expand(5, *p.shape))
    torch.nn.init.normal_(film.generate.weight)
    made, x = film(network, z), torch.randn(5, 7, 3, dtype=torch.float64)
    scale, shift = film.generate(z).split(4, -1)
    before = x @ network.weights[0]
    wanted = torch.relu((1 + scale.unsqueeze(1)) * before + network.biases[0] + shift.unsqueeze(1))
    assert torch.allclose(network.forward_tasks(made, x), wanted)


def tasks_by_alphabet(pool: ClassPool) -> dict[str, list[Tensor]]:
    """Returns two tasks ``[S, 1, 28, 28]`` with different characters for each large alphabet."""
    members: dict[str, list[int]] = {}
    for place, group in enumerate(pool.groups):
        members.setdefault(group, []).append(place)
    large = {group: m[: 2 * CHARACTERS] for group, m in members.items() if len(m) >= 2 * CHARACTERS}
    return {
        group: [
            pool.images[m[i::2], SHOTS * i : SHOTS * (i + 1)].flatten(0, 1).float() / 255
            for i in range(2)
        ]
        for group, m in large.items()
    }


def test_task_vectors_of_one_alphabet_are_closer_than_those_of_two() -> None:
    scripts = Glyphs(split="alphabets")
    algorithm = make(TaskEmbedding, classification(CHARACTERS, SHOTS))
    assert isinstance(algorithm, TaskEmbedding)
    train(algorithm, scripts.pool("train"), 6000)
    labels = torch.arange(CHARACTERS).repeat_interleave(SHOTS)
    with torch.no_grad():
        vectors = {
            group: [algorithm.embed(Support(x, labels, CHARACTERS)) for x in pair]
            for group, pair in tasks_by_alphabet(scripts.pool("train")).items()
        }
    same = [float((a - b).norm()) for a, b in vectors.values()]
    pairs = itertools.combinations(vectors.values(), 2)
    different = [float((first[0] - second[1]).norm()) for first, second in pairs]
    assert sum(same) / len(same) < 0.9 * sum(different) / len(different)


def error(algorithm: TaskEmbedding, waves: TaskBatch) -> float:
    with torch.no_grad():
        predicted = algorithm.adapt_batch(waves.support)(waves.query_x)
    return float((predicted - waves.query_y).square().mean())


def test_it_learns_to_regress(waves: TaskBatch) -> None:
    algorithm = make(TaskEmbedding, regression())
    assert isinstance(algorithm, TaskEmbedding)
    train(algorithm, Sinusoid(), 300_000)
    assert error(algorithm, waves) < 2.0  # predicting zero costs 4.25


def test_gradient_steps_after_the_encoder_lower_the_support_loss(support: Support) -> None:
    algorithm = with_random_generators(make_tiny(inner_lr=0.05))
    losses = [
        float(algorithm.problem.loss(predict(support.x), support.y).detach())
        for predict in algorithm.adapt_path(support, 5)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
