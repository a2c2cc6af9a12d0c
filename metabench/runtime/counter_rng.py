"""Counter-based random numbers: pure functions of a key and a counter.

SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators") in int64
arithmetic. The n-th number of a key does not depend on those before it, so an episode has the same
bits on any device and in any batch.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

# Arrays for the CPU: NumPy takes a third of PyTorch's time for such small computations.
Ints: TypeAlias = npt.NDArray[np.int64]
IntsOrTensor = TypeVar("IntsOrTensor", Ints, Tensor)


def _signed(x: int) -> int:
    """Returns the low 64 bits of ``x`` as a signed integer, which is what a tensor holds."""
    return (x & 0xFFFF_FFFF_FFFF_FFFF) - ((x & 0x8000_0000_0000_0000) << 1)


# The constants of SplitMix64: 2^64 divided by the golden ratio, and Stafford's mixing variant 13.
GOLDEN = _signed(0x9E37_79B9_7F4A_7C15)
_MIX_1 = _signed(0xBF58_476D_1CE4_E5B9)
_MIX_2 = _signed(0x94D0_49BB_1331_11EB)
_LOW = 0xFFFF_FFFF
_LAST = 2**63 - 1


def make_key(*parts: str | int) -> int:
    """Returns a 64-bit key: the first eight bytes of the sha256 of its parts, as a signed integer.

    >>> make_key("glyphs-5w1s@1", "test", 0) == make_key("glyphs-5w1s@1", "test", 0)
    True
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _xor_shift(x: IntsOrTensor, shift: int) -> IntsOrTensor:
    """Compute ``x ^ (x >>> shift)`` in place."""
    shifted = x >> shift  # an arithmetic shift: int64 has no other, so mask the copies of the sign
    shifted &= (1 << (64 - shift)) - 1
    x ^= shifted
    return x


def mix(x: IntsOrTensor) -> IntsOrTensor:
    """Apply SplitMix64's finaliser: a bijection of int64 in which each input bit affects all bits.

    Args:
        x: int64, any shape. It is overwritten.

    Returns:
        int64, the same shape.
    """
    x = _xor_shift(x, 30)
    x *= _MIX_1
    x = _xor_shift(x, 27)
    x *= _MIX_2
    return _xor_shift(x, 31)


def random_bits(key: int, indices: IntsOrTensor, count: int) -> IntsOrTensor:
    """Returns the first ``count`` random numbers of each episode of a key.

    Args:
        key: The key, from :func:`make_key`.
        indices: int64 ``[T]``, the index of each episode.
        count: The number of random numbers for each episode.

    Returns:
        int64 ``[T, count]``, uniform over all 2^64 values, of the type and on the device of
        ``indices``.
    """
    seeds = mix((indices + 1) * GOLDEN ^ key)
    counters = np.arange(1, count + 1) * GOLDEN
    if isinstance(seeds, Tensor):
        return mix(seeds.unsqueeze(1) + torch.from_numpy(counters).to(seeds.device))
    return mix(seeds[:, None] + counters)


def below(bits: IntsOrTensor, limit: int) -> IntsOrTensor:
    """Returns uniform integers in ``[0, limit)``: Lemire's multiply-shift (arXiv:1805.10941)."""
    # Without Lemire's rejection step, which would make the number of draws depend on the draws. The
    # relative bias is at most limit / 2^32: 2e-6 for ten thousand classes.
    return (bits >> 32 & _LOW) * limit >> 32


def uniform(bits: Tensor) -> Tensor:
    """Returns uniform float64 in ``[0, 1)``, multiples of 2^-53."""
    return (bits >> 11).bitwise_and_((1 << 53) - 1).to(torch.float64).mul_(2.0**-53)


def shuffle_order(bits: Tensor) -> Tensor:
    """Returns a uniformly random permutation for each row: the order that sorts its bits.

    Args:
        bits: int64 ``[..., n]``.

    Returns:
        int64 ``[..., n]``, a permutation of ``0..n-1`` in each row.
    """
    return torch.argsort(bits, dim=-1, stable=True)


def shuffled(bits: Ints, count: int) -> Ints:
    """Returns the integers ``0..count-1`` in a uniformly random order, for each row.

    Args:
        bits: int64 ``[..., count]``.
        count: The number of integers.

    Returns:
        int64 ``[..., count]``, a permutation in each row.
    """
    # Each integer replaces the low half of its random bits, so one sort of int64 does it. Equal
    # upper halves keep their order: one permutation of 30 integers in ten million.
    order = bits & ~_LOW
    order |= np.arange(count)
    order.sort(axis=-1)
    order &= _LOW
    return order


def first_distinct(values: Ints, count: int) -> Ints | None:
    """Returns the first ``count`` distinct integers of each row, in order of first appearance.

    From uniform integers this is a uniformly random choice in random order, and it does not depend
    on how long the rows are, if they are long enough.

    Args:
        values: int64 ``[T, length]``, each in ``[0, 2^31)``.
        count: The number of distinct integers.

    Returns:
        int64 ``[T, count]``, or ``None`` if a row has fewer than ``count`` distinct integers.
    """
    # Sort by (value, position) packed into one int64 to find repetitions, then by (position, value)
    # to restore the order; repetitions move to the end.
    by_value = values << 32 | np.arange(values.shape[1])
    by_value.sort(axis=1)
    value = by_value >> 32
    by_place = by_value << 32 | value
    by_place[:, 1:][value[:, 1:] == value[:, :-1]] = _LAST
    by_place.sort(axis=1)
    first = by_place[:, :count]
    return None if np.any(first[:, -1] == _LAST) else first & _LOW
