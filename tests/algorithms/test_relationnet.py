"""Relation Networks against the equations of the paper."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metabench.algorithms.relationnet import Relation, RelationNet
from metabench.episodes import Support
from metabench.errors import NotApplicable, UsageError
from tests.helpers.few_shot import CHANNELS, classification, make


def test_the_split_first_convolution_equals_that_of_the_concatenated_pair() -> None:
    relation = Relation((4, 5, 5), 8).double().eval()
    classes = torch.randn(1, 3, 100, dtype=torch.float64)
    queries = torch.randn(1, 2, 100, dtype=torch.float64)
    whole = nn.Conv2d(8, 4, 3, padding=1, bias=False).double()
    with torch.no_grad():
        whole.weight.copy_(torch.cat([relation.of_class.weight, relation.of_query.weight], 1))
    scores = relation(classes, queries)
    for n, of_class in enumerate(classes[0]):
        for q, query in enumerate(queries[0]):
            pair = torch.cat([of_class.view(1, 4, 5, 5), query.view(1, 4, 5, 5)], 1)
            x = F.max_pool2d(F.relu(relation.norm1(whole(pair))), 2)
            x = F.max_pool2d(F.relu(relation.norm2(relation.of_pair(x))), 2)
            wanted = relation.score(F.relu(relation.hidden(x.flatten(1))))
            assert torch.allclose(scores[0, q, n], wanted)


def test_the_embeddings_of_a_class_are_averaged() -> None:
    algorithm = make(RelationNet, classification(2, 2))
    assert isinstance(algorithm, RelationNet)
    algorithm.double().eval()
    x = torch.rand(4, 1, 28, 28, dtype=torch.float64)
    query = torch.rand(3, 1, 28, 28, dtype=torch.float64)
    f = algorithm.embed(x)
    means = torch.stack([f[0] + f[2], f[1] + f[3]]) / 2
    wanted = algorithm.relation(means.unsqueeze(0), algorithm.embed(query).unsqueeze(0))[0]
    predict = algorithm.adapt(Support(x, torch.tensor([0, 1, 0, 1]), 2))
    assert torch.allclose(predict(query), wanted)


def test_five_copies_of_a_shot_are_predicted_from_like_one() -> None:
    algorithm = make(RelationNet, classification(2, 1)).double().eval()
    x, query = torch.rand(2, 1, 28, 28).double(), torch.rand(3, 1, 28, 28).double()
    labels = torch.tensor([0, 1])
    one = algorithm.adapt(Support(x, labels, 2))
    five = algorithm.adapt(Support(x.repeat(5, 1, 1, 1), labels.repeat(5), 2))
    assert torch.allclose(one(query), five(query))


def test_matching_and_other_pairs_have_equal_weight_in_the_loss() -> None:
    algorithm = make(RelationNet, classification(3, 1))
    assert isinstance(algorithm, RelationNet)
    log_odds = torch.tensor([[[0.0, 2.0, -3.0], [1.0, -1.0, 0.5]]])
    (a0, a1, a2), (b0, b1, b2) = 1 / (1 + torch.exp(-log_odds[0]))
    first = (1 - a1) ** 2 + (a0**2 + a2**2) / 2
    second = (1 - b0) ** 2 + (b1**2 + b2**2) / 2
    assert torch.allclose(
        algorithm.episode_loss(log_odds, torch.tensor([[1, 0]])), (first + second) / 2
    )


def test_feature_maps_have_the_size_of_the_paper() -> None:
    algorithm = make(RelationNet, classification())
    assert algorithm.embed.maps == (CHANNELS, 5, 5)
    assert algorithm.embed(torch.rand(2, 1, 28, 28)).shape == (2, CHANNELS * 25)


def test_a_backbone_without_feature_maps_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="'conv4' gives none"):
        RelationNet(classification(), backbone="conv4")


def test_vector_inputs_are_not_applicable() -> None:
    with pytest.raises(NotApplicable, match=r"^relationnet compares maps, and .* are no images\.$"):
        RelationNet(classification(shape=(16,), backbone="mlp"))


def test_images_below_22x22_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="at least 22x22"):
        RelationNet(classification(shape=(1, 16, 16)))
