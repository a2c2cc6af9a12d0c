import pytest
import torch
from torch.nn import functional as F

from metabench.backbones.ops.convolution import convolve

GROUPS = 3


def make_operands() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    maps = torch.rand(2, GROUPS * 2, 5, 4, dtype=torch.float64).to(
        memory_format=torch.channels_last
    )
    kernels = torch.rand(GROUPS * 4, 2, 3, 3, dtype=torch.float64).to(
        memory_format=torch.channels_last
    )
    return maps.requires_grad_(), kernels.requires_grad_()


@pytest.mark.parametrize("stride", [1, 2])
def test_convolve_equals_torch_conv2d(stride: int) -> None:
    maps, kernels = make_operands()
    expected = F.conv2d(maps, kernels, stride=stride, padding=1, groups=GROUPS)
    torch.testing.assert_close(convolve(maps, kernels, stride, GROUPS), expected)


@pytest.mark.parametrize("stride", [1, 2])
def test_first_and_second_derivatives_are_right(stride: int) -> None:
    maps, kernels = make_operands()

    def run(maps: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        return convolve(maps, kernels, stride, GROUPS)

    assert torch.autograd.gradcheck(run, (maps, kernels))
    assert torch.autograd.gradgradcheck(run, (maps, kernels))


def test_detached_maps_get_no_gradient() -> None:
    maps, kernels = make_operands()
    out = convolve(maps.detach(), kernels, 1, GROUPS)
    (slope,) = torch.autograd.grad(out.sum(), kernels, create_graph=True)
    assert slope.shape == kernels.shape
