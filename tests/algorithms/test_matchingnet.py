"""Matching Networks against the equations of the paper."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabench.algorithms.matchingnet import MatchingNet, log_attention
from metabench.episodes import Support
from metabench.learning.full_context import FullContext
from tests.helpers.few_shot import classification, make

SHAPE = (6,)


def make_tiny(**chosen: object) -> MatchingNet:
    algorithm = make(MatchingNet, classification(3, 2, SHAPE, "mlp"), **chosen)
    assert isinstance(algorithm, MatchingNet)
    return algorithm.double().eval()


@pytest.fixture
def support() -> Support:
    y = torch.tensor([0, 2, 1, 1, 0, 2])
    return Support(
        torch.randn(6, *SHAPE, generator=torch.Generator().manual_seed(1)).double(), y, 3
    )


@pytest.fixture
def query() -> Tensor:
    return torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(2)).double()


@pytest.mark.parametrize("distance", ["cosine", "l2"])
def test_the_probability_of_a_class_is_the_attention_on_its_examples(
    distance: str, support: Support, query: Tensor
) -> None:
    algorithm = make_tiny(distance=distance, scale=3.0)
    keys, wanted = algorithm.embed(support.x), torch.zeros(4, 3, dtype=torch.float64)
    for q, f in enumerate(algorithm.embed(query)):
        if distance == "cosine":
            similarities = torch.stack([3 * f @ g / (f.norm() * g.norm()) for g in keys])
        else:
            similarities = torch.stack([-((f - g) ** 2).sum() for g in keys])
        for a, label in zip(similarities.softmax(0), support.y, strict=True):
            wanted[q, label] += a
    assert torch.allclose(algorithm.adapt(support)(query).softmax(-1), wanted)


def test_a_class_without_examples_gets_no_attention_but_a_finite_logit() -> None:
    logits = log_attention(torch.zeros(1, 2, 3), torch.tensor([[0, 0, 2]]), 3)
    assert bool(torch.isfinite(logits).all())
    assert torch.allclose(logits.softmax(-1), torch.tensor([2 / 3, 0, 1 / 3]).expand(1, 2, 3))


@pytest.mark.parametrize("spread", [1.0, 1e3])
def test_the_logit_of_a_class_is_the_logsumexp_of_its_similarities(
    spread: float,
) -> None:
    """At a large spread most exponentials underflow to 0; values and derivatives stay right."""
    generator = torch.Generator().manual_seed(3)
    similarities = spread * torch.randn(2, 4, 7, generator=generator, dtype=torch.float64)
    labels = torch.tensor([[0, 1, 2, 0, 1, 2, 0], [2, 2, 1, 0, 0, 0, 1]])
    logits = log_attention(similarities.requires_grad_(), labels, 3)
    expected = torch.stack(
        [
            torch.stack([similarities[t][:, labels[t] == k].logsumexp(-1) for k in range(3)], -1)
            for t in range(2)
        ]
    )
    torch.testing.assert_close(logits, expected)
    weights = torch.randn(logits.shape, generator=generator, dtype=torch.float64)
    slopes = [torch.autograd.grad((x * weights).sum(), similarities)[0] for x in (logits, expected)]
    torch.testing.assert_close(slopes[0], slopes[1])


@pytest.mark.parametrize("ways", [5, 20, 60])
def test_without_a_scale_the_largest_probability_is_bounded(ways: int) -> None:
    """The best possible features have cosine 1 with their class and 0 with all others."""
    similarities = torch.zeros(1, 1, ways).index_fill(2, torch.tensor(0), 1.0)
    labels = torch.arange(ways).unsqueeze(0)
    sure = log_attention(similarities, labels, ways).softmax(-1)[0, 0, 0]
    assert float(sure) == pytest.approx(math.e / (math.e + ways - 1), abs=1e-6)
    scaled = log_attention(10 * similarities, labels, ways).softmax(-1)[0, 0, 0]
    assert float(scaled) > 0.99


def test_the_scale_is_learned_unless_learn_scale_is_false() -> None:
    assert make_tiny().log_scale.requires_grad
    plain = make_tiny(scale=1.0, learn_scale=False)
    assert not plain.log_scale.requires_grad
    assert float(plain.log_scale) == 0


def test_support_embeddings_are_a_bidirectional_lstm_with_a_skip_connection() -> None:
    context = FullContext(4, 1).double()
    features = torch.randn(1, 3, 4, dtype=torch.float64)
    one_way = nn.LSTM(4, 4, batch_first=True).double()
    wanted = features.clone()
    for suffix, x in (("", features), ("_reverse", features.flip(1))):
        with torch.no_grad():
            for name, p in one_way.named_parameters():
                p.copy_(getattr(context.lstm, name + suffix))
        hidden = one_way(x)[0]
        wanted = wanted + (hidden.flip(1) if suffix else hidden)
    assert torch.allclose(context.support(features), wanted)


def test_a_query_attends_to_the_support_set_in_every_lstm_step() -> None:
    context = FullContext(4, 3).double()
    f, keys = torch.randn(4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    h, r, c = torch.zeros_like(f), torch.zeros_like(f), torch.zeros_like(f)
    for _ in range(3):
        gates = context.cell_input(f) + context.cell_state(torch.cat([h, r]))
        i, forget, g, o = gates.view(4, 4)
        c = torch.sigmoid(forget) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c) + f
        attention = F.softmax(torch.stack([h @ key for key in keys]), 0)
        r = sum((a * key for a, key in zip(attention, keys, strict=True)), torch.zeros_like(f))
    assert torch.allclose(context.query(f.view(1, 1, 4), keys.unsqueeze(0))[0, 0], h)


def test_full_context_embeddings_depend_on_the_order_of_the_support_set(
    support: Support, query: Tensor
) -> None:
    algorithm, order = make_tiny(fce=True), torch.tensor([5, 3, 1, 0, 2, 4])
    reordered = Support(support.x[order], support.y[order], 3)
    assert not torch.allclose(algorithm.adapt(support)(query), algorithm.adapt(reordered)(query))
