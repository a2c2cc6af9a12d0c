"""A pool whose pixels encode class, example and variant, so that a draw can be decoded."""

import torch
from torch import Tensor

from metabench.datasets import ClassPool


def coded_pool(classes: int, examples: int, variants: int = 1) -> ClassPool:
    """Returns a pool of images ``[1, 2, 2]`` of the bytes class, example, variant and 255."""
    c, v, e = torch.meshgrid(
        torch.arange(classes), torch.arange(variants), torch.arange(examples), indexing="ij"
    )
    code = torch.stack([c, e, v, torch.full_like(c, 255)], dim=-1).to(torch.uint8)
    names = tuple(f"class {i}" for i in range(classes))
    return ClassPool(code.view(classes * variants, examples, 1, 2, 2), names, variants=variants)


def decode(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns class, example and variant, int64 ``[...]``, of images ``[..., 1, 2, 2]``."""
    code = (x.double() * 255).round().long().flatten(-3)
    assert (code[..., 3] == 255).all()
    return code[..., 0], code[..., 1], code[..., 2]
