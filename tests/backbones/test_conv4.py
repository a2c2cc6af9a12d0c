from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.backbones import conv4
from metabench.backbones.conv4 import Conv4, Conv4Strided
from metabench.backbones.conv_block import ConvBlock
from metabench.backbones.ops.layout import channels_last
from metabench.errors import UsageError

Forward = Callable[[Mapping[str, Tensor], Tensor], Tensor]
NETS = pytest.mark.parametrize("kind", [Conv4, Conv4Strided])
TASKS = 2


def reference(net: Conv4) -> Forward:
    """Returns convolution, batch norm, ReLU and pooling by elementary operations, task by task."""

    def one(params: Mapping[str, Tensor], t: int, x: Tensor) -> Tensor:
        for i, block in enumerate(net.blocks):
            y = F.conv2d(x, params[f"blocks.{i}.weight"][t], stride=block.stride, padding=1)
            centred = y - y.mean((0, 2, 3), keepdim=True)
            y = centred * (centred.square().mean((0, 2, 3), keepdim=True) + 1e-5).rsqrt()
            if block.gamma is not None:
                y = y * params[f"blocks.{i}.gamma"][t].view(1, -1, 1, 1)
            x = F.relu(y + params[f"blocks.{i}.beta"][t].view(1, -1, 1, 1))
            x = x if net.strided else F.max_pool2d(x, 2)
        return x.mean((2, 3)) if net.strided else x.flatten(1)

    return lambda params, x: torch.stack([one(params, t, x[t]) for t in range(len(x))])


def make_network(
    kind: type[Conv4], scale: bool, batch: int, side: int = 32
) -> tuple[Conv4, dict[str, Tensor], Tensor]:
    torch.manual_seed(0)
    net = kind((2, side, side + 1), channels=4, norm="batch", scale=scale).double()
    params = {
        name: (p.detach() + 0.3 * torch.randn(TASKS, *p.shape).double()).requires_grad_()
        for name, p in net.named_parameters()
    }
    return (
        net,
        params,
        torch.rand(TASKS, batch, 2, side, side + 1, dtype=torch.float64, requires_grad=True),
    )


def meta_gradient(
    forward: Forward, params: dict[str, Tensor], x: Tensor, steps: int, second_order: bool
) -> list[Tensor]:
    """Returns features after some inner steps, and their gradient in parameters and images."""
    theta = params
    for _ in range(steps):
        out = forward(theta, x)
        loss = (
            (out - torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).square().mean()
        )
        grads = torch.autograd.grad(loss, list(theta.values()), create_graph=second_order)
        theta = {name: p - 0.1 * g for (name, p), g in zip(theta.items(), grads, strict=True)}
    out = forward(theta, x)
    outer = (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).sum()
    return [out.detach(), *torch.autograd.grad(outer, [*params.values(), x])]


@NETS
@pytest.mark.parametrize("scale", [False, True])
# The pairs select a loop over the tasks, one product for all, and one grouped convolution.
@pytest.mark.parametrize(("hint", "rows"), [(True, 0), (True, 10**9), (False, 0)])
@pytest.mark.parametrize(
    ("batch", "steps", "second_order"), [(1, 1, True), (3, 2, True), (3, 3, True), (3, 2, False)]
)
def test_every_implementation_gives_the_gradients_of_the_reference(
    kind: type[Conv4],
    scale: bool,
    hint: bool,
    rows: int,
    batch: int,
    steps: int,
    second_order: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conv4, "UNFOLDED_ROWS", rows)
    net, params, x = make_network(kind, scale, batch)
    expected = meta_gradient(reference(net), params, x, steps, second_order)
    forward = partial(net.forward_tasks, twice=hint)
    got = meta_gradient(forward, params, x, steps, second_order)
    for a, b in zip(got, expected, strict=True):
        assert b.abs().max() > 1e-8, "a dead network agrees with anything"
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10 * float(b.abs().max()))


@NETS
@pytest.mark.parametrize("scale", [False, True])
def test_queries_are_normalised_by_the_statistics_of_the_support_set(
    kind: type[Conv4], scale: bool
) -> None:
    net, params, x = make_network(kind, scale, 6)
    support, query = x[:, :4], x[:, 4:]
    found = net.forward_by_support(params, support, query)
    for t in range(TASKS):
        maps, seen = query[t], support[t]
        for i, block in enumerate(net.blocks):
            weight, beta = params[f"blocks.{i}.weight"][t], params[f"blocks.{i}.beta"][t]
            gamma = params[f"blocks.{i}.gamma"][t] if scale else None
            seen, maps = (F.conv2d(z, weight, stride=block.stride, padding=1) for z in (seen, maps))
            mean, variance = (
                seen.detach().mean((0, 2, 3)),
                seen.detach().var((0, 2, 3), correction=0),
            )
            seen, maps = (
                F.relu(F.batch_norm(z, mean, variance, gamma, beta, False)) for z in (seen, maps)
            )
            if not net.strided:
                seen, maps = F.max_pool2d(seen, 2), F.max_pool2d(maps, 2)
        expected = maps.mean((2, 3)) if net.strided else maps.flatten(1)
        torch.testing.assert_close(found[t], expected, rtol=0, atol=1e-9)
    (gradient,) = torch.autograd.grad(found.square().sum(), x)
    assert all(part.abs().max() > 1e-8 for part in (gradient[:, :4], gradient[:, 4:]))


@NETS
@pytest.mark.parametrize("training", [False, True])
def test_with_running_statistics_forward_tasks_equals_forward(
    kind: type[Conv4], training: bool
) -> None:
    torch.manual_seed(0)
    net = kind((1, 32, 32), channels=4, norm="running", scale=True).double().train(training)
    x = torch.rand(TASKS, 3, 1, 32, 32, dtype=torch.float64)
    params = {name: p.expand(TASKS, *p.shape) for name, p in net.named_parameters()}
    expected = torch.stack([net(images) for images in x])
    torch.testing.assert_close(net.forward_tasks(params, x), expected, rtol=0, atol=1e-12)


@NETS
@pytest.mark.parametrize("hint", [False, True])
def test_a_task_has_the_same_features_alone_and_in_a_batch(kind: type[Conv4], hint: bool) -> None:
    net, params, x = make_network(kind, True, 3)
    together = net.forward_tasks(params, x, twice=hint)
    alone = [
        net.forward_tasks({n: p[t : t + 1] for n, p in params.items()}, x[t : t + 1], twice=hint)
        for t in range(TASKS)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-12)


@NETS
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 33, 40), (1, 16, 17)])
def test_features_is_the_size_of_the_output(kind: type[Conv4], shape: tuple[int, ...]) -> None:
    net = kind(shape, norm="batch")
    assert net(torch.rand(3, *shape)).shape == (3, net.features)
    params = {name: p.expand(TASKS, *p.shape) for name, p in net.named_parameters()}
    assert net.forward_tasks(params, torch.rand(TASKS, 3, *shape)).shape == (TASKS, 3, net.features)


@NETS
@pytest.mark.parametrize("shape", [(1, 15, 28), (1, 28, 15), (28, 28), (10,)])
def test_inputs_that_cannot_be_halved_four_times_are_a_usage_error(
    kind: type[Conv4], shape: tuple[int, ...]
) -> None:
    with pytest.raises(UsageError, match="cannot read inputs"):
        kind(shape)


def test_the_names_of_the_parameters_are_stable() -> None:
    names = [name for name, _ in Conv4((1, 28, 28)).named_parameters()]
    assert names == [f"blocks.{i}.{p}" for i in range(4) for p in ("weight", "gamma", "beta")]
    assert not any("gamma" in name for name, _ in Conv4Strided((1, 28, 28)).named_parameters())


@NETS
def test_tasks_in_several_groups_have_the_same_features_and_gradients(
    kind: type[Conv4], monkeypatch: pytest.MonkeyPatch
) -> None:
    net, _, x = make_network(kind, True, 3)
    x = torch.cat([x, x.flip(1), x[:1] + 0.5])
    params = {
        name: torch.stack([p.detach() + 0.01 * t for t in range(len(x))]).requires_grad_()
        for name, p in net.named_parameters()
    }
    results = []
    for most in (len(x), 2):
        monkeypatch.setattr(conv4, "GROUPED_TASKS", most)
        features = net.forward_tasks(params, x)
        grads = torch.autograd.grad(features.square().sum(), list(params.values()))
        results.append([features.detach(), *grads])
    for together, apart in zip(*results, strict=True):
        torch.testing.assert_close(together, apart)


@pytest.mark.parametrize("shape", [(3, 1, 4, 5), (3, 2, 4, 5), (1, 1, 4, 5), (3, 2, 1, 1)])
def test_maps_of_one_channel_get_channels_last_strides(shape: tuple[int, ...]) -> None:
    maps = torch.rand(shape)
    laid_out = channels_last(maps)
    assert torch.equal(laid_out, maps)
    _, channels, height, width = shape
    assert laid_out.stride() == (height * width * channels, 1, width * channels, channels)


def test_one_task_of_one_channel_is_computed_in_channels_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = Conv4((1, 32, 32), channels=4, norm="batch")
    seen: list[Tensor] = []
    forward = ConvBlock.forward_grouped

    def spy(block: ConvBlock, params: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
        seen.append(forward(block, params, name, x))
        return seen[-1]

    monkeypatch.setattr(ConvBlock, "forward_grouped", spy)
    net.forward_tasks(
        {n: p.unsqueeze(0) for n, p in net.named_parameters()}, torch.rand(1, 3, 1, 32, 32)
    )
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
