import pytest
import torch
from gradient_kit import Tasks, build, classification, first_step, regression
from test_maml import SMALL, wide
from torch import Tensor

from metabench.algorithms.anil import ANIL
from metabench.algorithms.maml import MAML
from metabench.algorithms.problem import Problem
from metabench.episodes import Support
from metabench.errors import NotApplicable, UsageError


class HeadOnlyMAML(MAML):
    def adapts(self, name: str) -> bool:
        return name.startswith("head.")


@pytest.mark.parametrize(
    "problem", [classification("mlp"), classification("conv"), regression()], ids=["mlp", "conv", "sinusoid"]
)
def test_it_is_maml_whose_inner_loop_adapts_the_head_only(problem: Problem) -> None:
    anil, maml = (wide(build(cls, problem, test_steps=3, **SMALL)) for cls in (ANIL, HeadOnlyMAML))
    (batch, gradients, loss), (_, expected, expected_loss) = first_step(anil), first_step(maml)
    assert loss == pytest.approx(expected_loss)
    assert gradients.keys() == expected.keys()
    for name, g in expected.items():
        torch.testing.assert_close(gradients[name], g)
    anil.eval(), maml.eval()
    predictions = [a.adapt_batch(batch.support)(batch.query_x) for a in (anil, maml)]
    torch.testing.assert_close(*predictions)


def test_the_body_sees_the_support_set_once(monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm = build(ANIL, classification("conv")).eval()
    body, calls = algorithm.learner.backbone, []

    def counted(params: dict[str, Tensor], x: Tensor) -> Tensor:
        calls.append(len(x))
        return type(body).forward_tasks(body, params, x)

    monkeypatch.setattr(body, "forward_tasks", counted)
    batch, *_ = first_step(algorithm)
    calls.clear()
    algorithm.eval()
    predict = algorithm.adapt_batch(batch.support)
    assert len(calls) == 1
    predict(batch.query_x)
    assert len(calls) == 2


def test_from_a_head_of_zeros_one_step_compares_with_the_mean_of_each_class() -> None:
    """Its gradient is known: softmax minus labels, weighted by the features, and summed over the classes."""
    algorithm = build(ANIL, classification(), zero_head=True, inner_lr=0.3, test_steps=1)
    batch, *_ = first_step(algorithm)
    algorithm.eval()
    support, body = batch[0:1].support, algorithm.learner.backbone
    found = algorithm.adapt_batch(support)(batch.query_x[:1])
    with torch.no_grad():
        features, labels = body(support.x[0]), support.y[0]
        means = torch.stack([features[labels == c].mean(0) for c in range(support.ways)])
        expected = 0.3 * (body(batch.query_x[0]) @ (means - features.mean(0)).T)
    torch.testing.assert_close(found[0], expected)


def test_with_a_head_of_zeros_the_numbers_of_the_classes_mean_nothing() -> None:
    algorithm = build(ANIL, classification(), zero_head=True)
    batch, *_ = first_step(algorithm)
    algorithm.eval()
    support, order = batch.support, torch.tensor([2, 0, 1])
    found = algorithm.adapt_batch(support)(batch.query_x)
    renamed = algorithm.adapt_batch(Support(support.x, order[support.y], support.ways))(batch.query_x)
    torch.testing.assert_close(renamed[..., order], found)
    assert not algorithm.depends_on_label_order


def test_a_head_of_zeros_is_trained_with_other_ways_than_it_is_tested_with() -> None:
    algorithm = build(ANIL, classification(), zero_head=True, train_ways=8)
    batch, gradients, _ = first_step(algorithm)
    assert batch.ways == 8
    body = [g for name, g in gradients.items() if name.startswith("learner.backbone.")]
    assert len(body) == len(list(algorithm.learner.backbone.parameters()))
    assert all(g.any() for g in body)
    algorithm.eval()
    episode = Tasks(classification(), torch.float64).test(1)
    assert algorithm.adapt_batch(episode.support)(episode.query_x).shape[-1] == 3


def test_a_learned_head_has_the_ways_of_the_test() -> None:
    with pytest.raises(UsageError, match=r"train_ways=8 asks for another head .* 3 classes"):
        build(ANIL, classification(), train_ways=8)
    assert build(ANIL, classification(), train_ways=3).train_ways == 3


def test_a_head_of_zeros_is_for_classes() -> None:
    with pytest.raises(NotApplicable, match=r"zero_head=True .* this benchmark is regression"):
        build(ANIL, regression(), zero_head=True)
