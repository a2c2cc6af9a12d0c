"""The networks of the peers, as PyTorch's documentation writes them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from metabench.backbones.mlp import MLP
from metabench.backbones.network import Network


class Block(nn.Sequential):
    """Convolution, batch norm, ReLU, and a max pool if the convolution has no stride."""

    def __init__(self, inputs: int, outputs: int, *, strided: bool, running: bool) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, 3, stride=2 if strided else 1, padding=1, bias=False),
            nn.BatchNorm2d(outputs, track_running_stats=running),
            nn.ReLU(),
        ]
        super().__init__(*layers, *([] if strided else [nn.MaxPool2d(2)]))


class Body(nn.Sequential):
    """``[B, 1, 28, 28]`` to ``[B, channels]``: Conv4, pooled or strided."""

    def __init__(self, *, strided: bool = False, running: bool = False, channels: int = 64) -> None:
        blocks = [
            Block(1 if i == 0 else channels, channels, strided=strided, running=running)
            for i in range(4)
        ]
        super().__init__(
            *blocks, nn.AdaptiveAvgPool2d(1) if strided else nn.Identity(), nn.Flatten()
        )


def conv4(outputs: int, *, strided: bool, channels: int = 64) -> nn.Module:
    """Conv4 with a linear head; batch norm by the batch's own statistics."""
    return nn.Sequential(Body(strided=strided, channels=channels), nn.Linear(channels, outputs))


def mlp(outputs: int, hidden: int = 40) -> nn.Module:
    """Returns the sinusoid network of the MAML paper."""
    return nn.Sequential(
        nn.Linear(1, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs),
    )


def in_order_of_peer(tensors: Mapping[str, Tensor], *, interleaved: bool = False) -> list[Tensor]:
    """Returns metabench's tensors in the order of a peer's ``parameters()``.

    Args:
        tensors: Parameters of metabench or their gradients, by name; the weight of a linear layer
            is ``[inputs, outputs]``.
        interleaved: Whether the weights come before all biases, as in the MLP.
    """
    names = list(tensors)
    if interleaved:
        body = [n for n in names if n.startswith("backbone.")]
        half = len(body) // 2
        body = [n for pair in zip(body[:half], body[half:], strict=True) for n in pair]
        names = body + [n for n in names if not n.startswith("backbone.")]
    return [tensors[n].t() if tensors[n].dim() == 2 else tensors[n] for n in names]


def as_peer_parameters(network: nn.Module, tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """Returns tensors of metabench's network in the order and shapes of a peer's parameters."""
    interleaved = isinstance(network, Network) and isinstance(network.backbone, MLP)
    return in_order_of_peer(tensors, interleaved=interleaved)


def copy_into(peer: nn.Module, network: nn.Module) -> nn.Module:
    """Copy the parameters of metabench's network into a peer's."""
    ours = as_peer_parameters(network, dict(network.named_parameters()))
    with torch.no_grad():
        for theirs, mine in zip(peer.parameters(), ours, strict=True):
            assert theirs.shape == mine.shape
            theirs.copy_(mine)
    return peer
