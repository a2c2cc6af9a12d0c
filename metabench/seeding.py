"""Random numbers that are pure functions of a key and a counter.

SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators") in int64 tensor
arithmetic: the n-th number of a key needs none of those before it, so an episode can be drawn alone, in any
batch, on any device, with the same bits.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def _signed(x: int) -> int:
    """The 64 bits of ``x`` as the signed integer that a tensor holds."""
    return (x & 0xFFFF_FFFF_FFFF_FFFF) - ((x & 0x8000_0000_0000_0000) << 1)


GOLDEN = _signed(0x9E37_79B9_7F4A_7C15)
_MIX_1 = _signed(0xBF58_476D_1CE4_E5B9)
_MIX_2 = _signed(0x94D0_49BB_1331_11EB)


def make_key(*parts: str | int) -> int:
    """A 64-bit key that is another for every other sequence of parts.

    Returns:
        The first eight bytes of the sha256 of the parts, as a signed integer.

    >>> make_key("glyphs-5w1s@1", "test", 0) == make_key("glyphs-5w1s@1", "test", 0)
    True
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _xor_shift(x: Tensor, shift: int) -> Tensor:
    """``x ^ (x >>> shift)``: int64 has only the arithmetic shift, so the copied sign is masked off."""
    return x.bitwise_xor_((x >> shift).bitwise_and_((1 << (64 - shift)) - 1))


def mix(x: Tensor) -> Tensor:
    """SplitMix64's finaliser: a bijection of int64 that spreads every input bit over the output.

    Args:
        x: int64, any shape; overwritten.

    Returns:
        int64, the same shape, any of the 2^64 values.
    """
    x = _xor_shift(x, 30).mul_(_MIX_1)
    x = _xor_shift(x, 27).mul_(_MIX_2)
    return _xor_shift(x, 31)


def random_bits(key: int, indices: Tensor, count: int) -> Tensor:
    """The first ``count`` numbers of each of a key's episodes.

    Args:
        key: what :func:`make_key` gave.
        indices: int64 ``[T]``, the index of each episode.
        count: how many numbers each episode needs.

    Returns:
        int64 ``[T, count]`` on the device of ``indices``, uniform over all 2^64 values.
    """
    seeds = mix((indices + 1).mul_(GOLDEN).bitwise_xor_(torch.full_like(indices, key)))
    counters = torch.arange(1, count + 1, device=indices.device).mul_(GOLDEN)
    return mix(seeds.unsqueeze(1) + counters)


def below(bits: Tensor, limit: int | Tensor) -> Tensor:
    """Uniform integers in ``[0, limit)`` from random bits.

    Lemire's multiply-shift on the upper 32 bits (arXiv:1805.10941) without the rejection step: a value is
    at most ``limit / 2^32`` likelier than it should be, 2e-6 for a thousand classes.
    """
    return ((bits >> 32).bitwise_and_(0xFFFF_FFFF) * limit) >> 32


def uniform(bits: Tensor) -> Tensor:
    """Uniform float64 in ``[0, 1)`` from random bits, exact multiples of 2^-53."""
    return (bits >> 11).bitwise_and_((1 << 53) - 1).to(torch.float64).mul_(2.0**-53)


def shuffle_order(bits: Tensor) -> Tensor:
    """A uniformly random order of the last dimension: the ranks of its random bits.

    Args:
        bits: int64 ``[..., n]``.

    Returns:
        int64 ``[..., n]``, a permutation of ``0..n-1`` in each row.
    """
    return torch.argsort(bits, dim=-1, stable=True)


def distinct_below(bits: Tensor, limit: int) -> Tensor:
    """Distinct uniform integers in ``[0, limit)``: every subset is equally likely, its order is not.

    Floyd's algorithm (Bentley and Floyd 1987, "A sample of brilliance") over a batch: one step for each
    number, none for each of the ``limit`` candidates.

    Args:
        bits: int64 ``[T, n]`` with ``n <= limit``.
        limit: how many candidates there are.

    Returns:
        int64 ``[T, n]``.
    """
    n = bits.shape[1]
    top = torch.arange(limit - n, limit, device=bits.device)
    picks = below(bits, top + 1)
    for i in range(1, n):
        taken = (picks[:, :i] == picks[:, i : i + 1]).any(1)
        picks[:, i].masked_fill_(taken, limit - n + i)
    return picks
