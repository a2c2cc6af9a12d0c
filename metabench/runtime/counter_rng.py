"""Random numbers that are pure functions of a key and a counter.

SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators") in int64 arithmetic:
the n-th number of a key needs none of those before it, so an episode can be drawn alone, in any batch, on any
device, with the same bits. Tensors may be on any device; arrays are for the CPU, where numpy does such small
computations in a third of PyTorch's time.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Ints: TypeAlias = npt.NDArray[np.int64]
IntsOrTensor = TypeVar("IntsOrTensor", Ints, Tensor)


def _signed(x: int) -> int:
    """The 64 bits of ``x`` as the signed integer that a tensor holds."""
    return (x & 0xFFFF_FFFF_FFFF_FFFF) - ((x & 0x8000_0000_0000_0000) << 1)


GOLDEN = _signed(0x9E37_79B9_7F4A_7C15)
_MIX_1 = _signed(0xBF58_476D_1CE4_E5B9)
_MIX_2 = _signed(0x94D0_49BB_1331_11EB)
_LOW = 0xFFFF_FFFF
_LAST = 2**63 - 1


def make_key(*parts: str | int) -> int:
    """A 64-bit key that is another for every other sequence of parts.

    Returns:
        The first eight bytes of the sha256 of the parts, as a signed integer.

    >>> make_key("glyphs-5w1s@1", "test", 0) == make_key("glyphs-5w1s@1", "test", 0)
    True
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _xor_shift(x: IntsOrTensor, shift: int) -> IntsOrTensor:
    """``x ^ (x >>> shift)``: int64 has only the arithmetic shift, so the copied sign is masked off."""
    shifted = x >> shift
    shifted &= (1 << (64 - shift)) - 1
    x ^= shifted
    return x


def mix(x: IntsOrTensor) -> IntsOrTensor:
    """SplitMix64's finaliser: a bijection of int64 that spreads every input bit over the output.

    Args:
        x: int64, any shape; overwritten.

    Returns:
        int64, the same shape, any of the 2^64 values.
    """
    x = _xor_shift(x, 30)
    x *= _MIX_1
    x = _xor_shift(x, 27)
    x *= _MIX_2
    return _xor_shift(x, 31)


def random_bits(key: int, indices: IntsOrTensor, count: int) -> IntsOrTensor:
    """The first ``count`` numbers of each of a key's episodes.

    Args:
        key: what :func:`make_key` gave.
        indices: int64 ``[T]``, the index of each episode.
        count: how many numbers each episode needs.

    Returns:
        int64 ``[T, count]``, uniform over all 2^64 values: a tensor on the device of ``indices``, or an array
        where ``indices`` is one.
    """
    seeds = mix((indices + 1) * GOLDEN ^ key)
    counters = np.arange(1, count + 1) * GOLDEN
    if isinstance(seeds, Tensor):
        return mix(seeds.unsqueeze(1) + torch.from_numpy(counters).to(seeds.device))
    return mix(seeds[:, None] + counters)


def below(bits: IntsOrTensor, limit: int) -> IntsOrTensor:
    """Uniform integers in ``[0, limit)`` from random bits.

    Lemire's multiply-shift on the upper 32 bits (arXiv:1805.10941) without the rejection step: a value is
    at most ``limit / 2^32`` likelier than it should be, 2e-6 for ten thousand classes.
    """
    return (bits >> 32 & _LOW) * limit >> 32


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


def shuffled(bits: Ints, count: int) -> Ints:
    """The integers ``0..count-1`` in a uniformly random order.

    They are sorted by the upper 32 bits of a random number each, standing in its lower 32 themselves. Two
    with the same upper bits keep their natural order, which happens once in ten million orders of thirty.

    Args:
        bits: int64 ``[..., count]``.
        count: how many integers.

    Returns:
        int64 ``[..., count]``, a permutation in each row.
    """
    order = bits & ~_LOW
    order |= np.arange(count)
    order.sort(axis=-1)
    order &= _LOW
    return order


def first_distinct(values: Ints, count: int) -> Ints | None:
    """The first ``count`` different integers of each row, in the order of their first appearance.

    Of an endless row of uniform integers they are a uniformly random choice in uniformly random order. How
    much of the row one looks at does not change them, as long as it is enough.

    Args:
        values: int64 ``[T, length]``, each in ``[0, 2^31)``.
        count: how many.

    Returns:
        int64 ``[T, count]``; none where ``length`` is not enough for every row.
    """
    by_value = values << 32 | np.arange(values.shape[1])
    by_value.sort(axis=1)
    value = by_value >> 32
    by_place = by_value << 32 | value
    by_place[:, 1:][value[:, 1:] == value[:, :-1]] = _LAST
    by_place.sort(axis=1)
    first = by_place[:, :count]
    return None if np.any(first[:, -1] == _LAST) else first & _LOW
