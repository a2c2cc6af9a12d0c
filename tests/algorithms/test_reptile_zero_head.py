import torch

from metabench.algorithms.reptile import BETA2, Reptile
from metabench.algorithms.reptile_zero_head import ReptileZeroHead
from tests.algorithms.test_reptile import meta_train
from tests.helpers.gradient_kit import Tasks, build, classification


def test_a_head_of_zeros_trains_the_backbone_as_a_learned_head_that_starts_at_zero() -> None:
    options = {"tasks": 2, "inner_steps": 3, "inner_batch": 12, "train_shots": 4}
    learned = build(Reptile, classification(), **options)
    fixed = build(ReptileZeroHead, classification(), **options)
    with torch.no_grad():
        for p in learned.learner.head.parameters():
            p.zero_()
    meta_train(learned, 1)
    meta_train(fixed, 1)
    for i, (name, p) in enumerate(learned.learner.named_parameters()):
        found, kept = fixed.learner.get_parameter(name), fixed.get_buffer(f"second_moment_{i}")
        moment = learned.get_buffer(f"second_moment_{i}")
        if name.startswith("head."):
            assert p.any()
            assert not found.any()
            moment = moment.mean(-1, keepdim=True).expand_as(moment)
        else:
            torch.testing.assert_close(found, p)
        torch.testing.assert_close(kept, moment)


def test_second_moments_of_the_head_are_rescaled_to_the_ways_of_the_test() -> None:
    """A class has a quarter of the share in a mean loss over 12 classes that it has over 3."""
    options = {"train_ways": 12, "test_steps": 1, "test_batch": 6}
    algorithm = build(ReptileZeroHead, classification(), **options).eval()
    torch.manual_seed(1)
    weight = algorithm.get_buffer("second_moment_2")
    assert weight.shape == algorithm.learner.head.weight.shape
    weight.copy_(torch.rand(weight.shape[0], 1).double())
    algorithm.adam_steps.fill_(10_000)
    support = Tasks(algorithm.problem, torch.float64).test(1).support
    query = torch.rand(1, 2, support.x.shape[-1]).double()
    features = algorithm.learner.backbone(support.x[0])
    slope = features.T @ (torch.full((6, 3), 1 / 3) - torch.eye(3)[support.y[0]]).double() / 6
    moved = -algorithm.inner_lr * slope / (BETA2 * 16 * weight + (1 - BETA2) * slope**2).sqrt()
    found = algorithm.adapt_batch(support)(query)[0]
    # The bias does not move, since all classes have equally many examples.
    torch.testing.assert_close(
        found, algorithm.learner.backbone(query[0]) @ moved, rtol=1e-3, atol=1e-5
    )


def test_second_moments_of_the_head_are_rescaled_if_there_are_fewer_classes_than_train_ways() -> (
    None
):
    options = {"tasks": 2, "inner_steps": 3, "train_shots": 4, "inner_batch": 10}
    classes = Tasks(classification()).train_classes
    enough = build(ReptileZeroHead, classification(), **options, train_ways=classes)
    too_few = build(ReptileZeroHead, classification(), **options, train_ways=2 * classes)
    for algorithm in (enough, too_few):
        torch.manual_seed(1)
        meta_train(algorithm, 5 * classes)
    for i, (name, p) in enumerate(enough.learner.named_parameters()):
        torch.testing.assert_close(too_few.learner.get_parameter(name), p)
        by_half_as_many = 4 if name.startswith("head.") else 1
        moment = too_few.get_buffer(f"second_moment_{i}")
        torch.testing.assert_close(
            by_half_as_many * moment, enough.get_buffer(f"second_moment_{i}")
        )
