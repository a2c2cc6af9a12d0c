r"""Batch norm by the statistics of the batch, one batch a task, fused with its scale and a ReLU.

One function instead of three: an inner loop differentiates it twice, and PyTorch's double backward
of batch norm is a long chain of passes over the maps. With the normalised values :math:`\hat x`,
the reciprocal deviation :math:`r`, the upper gradient behind the ReLU's mask :math:`s`, and
:math:`\overline{\cdot}` the mean over a task's rows:

.. math::
    \dot y = \gamma r \, (s - \bar s - \hat x \, a), \quad a = \overline{s \hat x}, \qquad
    \dot\beta = N \bar s, \qquad \dot\gamma = N a

:class:`_Backward` differentiates these three once more by hand. A third derivative raises an error.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from metabench.runtime.precision import raised

EPS = 1e-5
"""Added to the variance, as in PyTorch."""


def batch_norm_relu(y: Tensor, gamma: Tensor | None, beta: Tensor) -> Tensor:
    """Returns ``relu(batch_norm(y))`` for every task; differentiable twice.

    Args:
        y: ``[T, N, C]``, normalised over ``N``.
        gamma: The scale, ``[T, C]``, or None for no scale.
        beta: The shift, ``[T, C]``.

    Returns:
        ``[T, N, C]``.
    """
    y = raised(y)
    z: Tensor = _Forward.apply(y, None if gamma is None else gamma.unsqueeze(1), beta.unsqueeze(1))  # type: ignore[no-untyped-call]
    return z


class _Forward(Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, gamma: Tensor | None, beta: Tensor) -> Tensor:
        x_hat = y - y.mean(1, keepdim=True)
        rstd = _mean_product(x_hat, x_hat).add_(EPS).rsqrt_()
        x_hat *= rstd
        z = (x_hat + beta if gamma is None else torch.addcmul(beta, x_hat, gamma)).relu_()
        ctx.save_for_backward(y, gamma, x_hat, rstd, z)
        return z

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        y, gamma, x_hat, rstd, z = ctx.saved_tensors
        dy, dgamma, dbeta = _Backward.apply(grads[0], y, gamma, x_hat, rstd, z.detach())  # type: ignore[no-untyped-call]
        return dy, dgamma, dbeta


class _Backward(Function):
    """The gradients of :class:`_Forward` as a function of the upper gradient, ``y`` and ``gamma``.

    The results of the forward pass are inputs that count as part of ``y``.
    """

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, y: Tensor, gamma: Tensor | None, x_hat: Tensor, rstd: Tensor, z: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        del y
        s = _masked(g, z)
        s_mean, a = s.mean(1, keepdim=True), _mean_product(s, x_hat)
        scale = rstd if gamma is None else gamma * rstd
        dy = _combine(-scale * s_mean, (scale, s), (-scale * a, x_hat))
        ctx.save_for_backward(gamma, x_hat, rstd, z, s, s_mean, a)
        rows = s.shape[1]
        return dy, None if gamma is None else rows * a, rows * s_mean

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        # Not once_differentiable: torch.autograd.grad prunes its error and returns a wrong number.
        if torch.is_grad_enabled():
            raise RuntimeError("batch_norm_relu cannot be differentiated a third time")
        u, v_gamma, v_beta = grads
        gamma, x_hat, rstd, z, s, s_mean, a = ctx.saved_tensors
        u_mean, c, d = u.mean(1, keepdim=True), _mean_product(u, x_hat), _mean_product(u, s)
        covariance = d - u_mean * s_mean - a * c
        scale = rstd if gamma is None else gamma * rstd
        to_s, to_x_hat = -scale * rstd * c, -scale * rstd * (covariance - 2 * a * c)
        from_x_hat = -scale * c
        d_gamma = None
        if gamma is not None:
            to_s, to_x_hat = to_s + rstd * v_gamma, to_x_hat - rstd * v_gamma * a
            from_x_hat = from_x_hat + v_gamma
            d_gamma = s.shape[1] * rstd * covariance
        to_u = -scale * rstd * a
        dg = _combine(v_beta - scale * u_mean, (scale, u), (from_x_hat, x_hat))
        dy = _combine(-to_u * u_mean - to_s * s_mean, (to_u, u), (to_s, s), (to_x_hat, x_hat))
        return _masked(dg, z), dy, d_gamma, None, None, None


def _masked(g: Tensor, z: Tensor) -> Tensor:
    """Returns the gradient where the ReLU was active."""
    masked: Tensor = torch.ops.aten.threshold_backward(g, z, 0)
    return masked


def _mean_product(a: Tensor, b: Tensor) -> Tensor:
    """Returns the mean of products over a task's rows, ``[T, 1, C]``."""
    products: Tensor = torch.linalg.vecdot(a, b, dim=1)
    return products.unsqueeze(1) / a.shape[1]


def _combine(
    constant: Tensor, first: tuple[Tensor, Tensor], *others: tuple[Tensor, Tensor]
) -> Tensor:
    """Returns a constant plus maps ``[T, N, C]`` weighted by ``[T, 1, C]``, in one pass a map."""
    total = torch.addcmul(constant, *first)
    for weight, maps in others:
        total.addcmul_(weight, maps)
    return total
