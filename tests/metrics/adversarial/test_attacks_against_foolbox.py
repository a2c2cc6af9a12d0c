"""The gradient attacks equal those of foolbox step by step."""

import os
import warnings
from typing import Any

import pytest
import torch
from torch import nn

from metabench.metrics.adversarial.ball import Ball
from metabench.metrics.adversarial.gradient_attacks import fgsm, pgd

os.environ.setdefault(
    "GIT_PYTHON_REFRESH", "quiet"
)  # foolbox asks for a git program that nothing here uses
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import foolbox


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 32), nn.Tanh(), nn.Linear(32, 5)).eval()


def attack_both(attack: Any, ball: Ball, *, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    model = network()
    x = torch.rand(1, 20, 1, 6, 6)
    labels = torch.randint(0, 5, (1, 20))

    def predict(query: torch.Tensor) -> torch.Tensor:
        return model(query[0]).unsqueeze(0)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        _, attacked, _ = attack(theirs, x[0], labels[0], epsilons=ball.radius)
    ours = pgd(predict, x, labels, ball, steps=steps) if steps else fgsm(predict, x, labels, ball)
    return ours[0], attacked


@pytest.mark.parametrize("radius", [0.03, 0.3])
def test_pgd_in_the_l_inf_ball_equals_foolbox(radius: float) -> None:
    attack = foolbox.attacks.LinfPGD(abs_stepsize=radius / 4, steps=20, random_start=False)
    torch.testing.assert_close(
        *attack_both(attack, Ball("linf", radius), steps=20), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("radius", [0.2, 1.0])
def test_pgd_in_the_l2_ball_equals_foolbox(radius: float) -> None:
    attack = foolbox.attacks.L2PGD(abs_stepsize=radius / 4, steps=20, random_start=False)
    torch.testing.assert_close(
        *attack_both(attack, Ball("l2", radius), steps=20), atol=1e-4, rtol=0
    )


def test_fgsm_equals_foolbox() -> None:
    attack = foolbox.attacks.FGSM(random_start=False)
    torch.testing.assert_close(*attack_both(attack, Ball("linf", 0.1), steps=0), atol=1e-6, rtol=0)


def test_the_fast_gradient_method_in_the_l2_ball_equals_foolbox() -> None:
    attack = foolbox.attacks.FGM(random_start=False)
    torch.testing.assert_close(*attack_both(attack, Ball("l2", 1.0), steps=0), atol=1e-5, rtol=0)
