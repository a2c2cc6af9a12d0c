"""Attacks on the queries of many episodes at once, with the gradient of the adapted predictor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.algorithms.base import Predictor
from metabench.errors import NotApplicable, UsageError

Norm = Literal["linf", "l2"]
LossName = Literal["cross-entropy", "margin"]


@dataclass(frozen=True)
class Ball:
    """The pictures that an attack may show: within a radius of the clean ones, and in ``[0, 1]``.

    Args:
        norm: ``linf`` or ``l2``, over all values of one picture.
        radius: greater than 0.

    Raises:
        UsageError: the radius is not a positive number.
    """

    norm: Norm
    radius: float

    def __post_init__(self) -> None:
        if not 0 < self.radius < float("inf"):
            raise UsageError(
                f"an attack of radius {self.radius} cannot be.", hint="A radius is above 0."
            )

    @property
    def name(self) -> str:
        """For example ``linf-0.1``."""
        return f"{self.norm}-{self.radius:.4g}"

    def project(self, x: Tensor, clean: Tensor) -> Tensor:
        """The nearest pictures to ``x`` in the ball, then in ``[0, 1]``; both ``[T, Q, *input]``."""
        change = x - clean
        if self.norm == "linf":
            change = change.clamp(-self.radius, self.radius)
        else:
            change = change * (self.radius / _norms(change).clamp_min(1e-12)).clamp_max(1)
        return (clean + change).clamp(0, 1)

    def distance(self, x: Tensor, clean: Tensor) -> Tensor:
        """How far each picture is from the clean one, ``[T, Q]``."""
        change = (x - clean).flatten(2)
        return change.abs().amax(-1) if self.norm == "linf" else change.norm(dim=-1)

    def steepest(self, gradient: Tensor) -> Tensor:
        """The direction of length 1 that rises fastest: the sign, or the normalised gradient."""
        if self.norm == "linf":
            return gradient.sign()
        return gradient / _norms(gradient).clamp_min(1e-12)

    def random(self, clean: Tensor, numbers: Tensor) -> Tensor:
        """Random pictures in the ball, from standard normal numbers of the clean pictures' shape."""
        if self.norm == "linf":
            uniform = torch.special.ndtr(numbers).mul(2).sub(1)
            return self.project(clean + self.radius * uniform.to(clean.dtype), clean)
        return self.project(clean + self.radius * self.steepest(numbers.to(clean.dtype)), clean)


def losses(name: LossName, logits: Tensor, labels: Tensor) -> Tensor:
    r"""What an attacker makes large, one value for each query, ``[T, Q]``.

    .. math:: -\log p_y \qquad \text{or} \qquad \max_{k \ne y} z_k - z_y

    The margin is positive where the query is classified wrongly. Unlike the cross-entropy's, its gradient
    does not vanish where a predictor is very sure.
    """
    if name == "cross-entropy":
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(
            labels.shape
        )
    of_label = F.one_hot(labels, logits.shape[-1]).bool()
    right = logits.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return logits.masked_fill(of_label, -torch.inf).amax(-1) - right


def input_gradient(
    predict: Predictor, x: Tensor, labels: Tensor, loss: LossName = "cross-entropy"
) -> tuple[Tensor, Tensor]:
    """The gradient of each query's loss by its input, ``[T, Q, *input]``, and the logits.

    Raises:
        NotApplicable: no gradient reaches the input.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        logits = predict(x)
        if not logits.requires_grad:
            raise NotApplicable("the predictor detaches its input: no gradient reaches it.")
        (gradient,) = torch.autograd.grad(losses(loss, logits, labels).sum(), x, allow_unused=True)
    if gradient is None:
        raise NotApplicable("the predictor detaches its input: no gradient reaches it.")
    return torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0), logits.detach()


def fgsm(predict: Predictor, x: Tensor, labels: Tensor, ball: Ball) -> Tensor:
    r"""One step to the border of the ball (the fast gradient method).

    .. math:: x' = \Pi\big(x + \epsilon \, \operatorname{sign} \nabla_x L(f(x), y)\big)

    Reference: Goodfellow, Shlens and Szegedy 2015, arXiv:1412.6572, section 4.

    Args:
        predict: ``[T, Q, *input]`` to logits ``[T, Q, ways]``.
        x: the clean queries.
        labels: int64 ``[T, Q]``.
        ball: where the attack may go.

    Raises:
        NotApplicable: no gradient reaches the input.
    """
    gradient, _ = input_gradient(predict, x, labels)
    return ball.project(x + ball.radius * ball.steepest(gradient), x)


def pgd(
    predict: Predictor,
    x: Tensor,
    labels: Tensor,
    ball: Ball,
    *,
    steps: int = 20,
    start: Tensor | None = None,
    loss: LossName = "cross-entropy",
) -> Tensor:
    r"""Projected gradient ascent in steps of a quarter of the radius; the last point counts.

    .. math:: x_{i+1} = \Pi\big(x_i + \tfrac{\epsilon}{4} \operatorname{sign} \nabla_x L(f(x_i), y)\big)

    Reference: Madry et al. 2018, arXiv:1706.06083, section 2.1; 20 steps of 2/255 in a ball of 8/255, as the
    few-shot literature has it.

    Args:
        predict: ``[T, Q, *input]`` to logits ``[T, Q, ways]``.
        x: the clean queries.
        labels: int64 ``[T, Q]``.
        ball: where the attack may go.
        steps: gradient steps.
        start: where it starts; by default at the clean queries.
        loss: what is made large.

    Raises:
        NotApplicable: no gradient reaches the input.
    """
    attacked = x if start is None else start
    for _ in range(steps):
        gradient, _ = input_gradient(predict, attacked, labels, loss)
        attacked = ball.project(attacked + ball.radius / 4 * ball.steepest(gradient), x)
    return attacked


Attempt = Callable[[int, Tensor | None], Tensor]
"""An attempt's number, and the places ``[T, K]`` of the queries that it attacks (nothing: all ``Q``), to what
becomes of those queries, ``[T, K, *input]``."""


def strongest(
    predict: Predictor,
    x: Tensor,
    labels: Tensor,
    attempts: int,
    attempt: Attempt,
    *,
    start: Tensor | None = None,
    together: bool = True,
) -> Tensor:
    """The worst of some attempts for each query, by its margin; the clean query where none is worse.

    Where nothing is classified rightly any more, the attempts end.

    Args:
        predict: ``[T, Q, *input]`` to logits ``[T, Q, ways]``.
        x: the clean queries.
        labels: int64 ``[T, Q]``.
        attempts: how many there are.
        attempt: gives the attacked queries of one attempt.
        start: what is known already, such as the worst of a smaller ball.
        together: attack all queries each time, as a transductive method needs it; else those alone that are
            classified rightly still.
    """
    best = x if start is None else start
    margin = _margins(predict, best, labels)
    for i in range(attempts):
        standing = margin <= 0
        if not bool(standing.any()):
            break
        places = (
            None
            if together
            else standing.long().argsort(1, descending=True)[:, : standing.sum(1).max()]
        )
        attacked = attempt(i, places)
        found = _margins(predict, attacked, at(labels, places))
        worse = found > at(margin, places)
        shape = (*worse.shape, *[1] * (x.ndim - 2))
        better = torch.where(worse.view(shape), attacked, at(best, places))
        best = _put(best, places, better)
        margin = _put(margin, places, torch.where(worse, found, at(margin, places)))
    return best


def at(x: Tensor, places: Tensor | None) -> Tensor:
    """Some queries ``[T, K, ...]`` of all ``[T, Q, ...]``, by their places ``[T, K]``; by default all."""
    return x if places is None else x.take_along_dim(_like(places, x), 1)


def _put(x: Tensor, places: Tensor | None, part: Tensor) -> Tensor:
    """All queries, with those at some places replaced."""
    return part if places is None else x.scatter(1, _like(places, part).expand_as(part), part)


def _like(places: Tensor, x: Tensor) -> Tensor:
    return places.view(*places.shape, *[1] * (x.ndim - 2))


@torch.no_grad()
def _margins(predict: Predictor, x: Tensor, labels: Tensor) -> Tensor:
    return losses("margin", predict(x), labels)


def _norms(x: Tensor) -> Tensor:
    """The Euclidean norm of each picture, shaped to divide by: ``[T, Q, 1, ...]``."""
    norms: Tensor = x.flatten(2).norm(dim=-1)
    return norms.view(*x.shape[:2], *[1] * (x.ndim - 2))
