"""Random integers that are the same on every machine: hashes of a seed, a purpose and counters.

NumPy and PyTorch do not guarantee stable random streams between versions, and floating-point
distributions depend on the mathematical library.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from metabench.runtime.counter_rng import Ints

SEED = 20151211
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIELD = np.uint64(0xFFFF)
_NORMAL_SD = 37837
"""Standard deviation of the sum of four uniform 16-bit integers."""


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def bits(purpose: str, *counters: Ints) -> NDArray[np.uint64]:
    """Returns 64 random bits for each combination of the counters.

    Args:
        purpose: What the bits are for; different purposes give independent bits.
        counters: Non-negative integers that number the draws; broadcast against each other.
    """
    state = np.array([SEED * 2**32 + zlib.crc32(purpose.encode())], dtype=np.uint64)
    for counter in counters:
        state = _mix((state ^ counter.astype(np.uint64)) + _GOLDEN)
    return state


def below(n: int | Ints, purpose: str, *counters: Ints) -> Ints:
    """Returns uniform integers in ``[0, n)``."""
    # Multiply-shift on the upper 32 bits: no division, and a bias below n / 2**32.
    high = (bits(purpose, *counters) >> np.uint64(32)).astype(np.int64)
    return (high * n) >> 32


def between(low: int, high: int, purpose: str, *counters: Ints) -> Ints:
    """Returns uniform integers in ``[low, high]``."""
    return low + below(high - low + 1, purpose, *counters)


def approx_normal(sd: int | Ints, purpose: str, *counters: Ints) -> Ints:
    """Returns approximately normal integers of mean 0: sums of four uniforms, within 3.5 SD."""
    word = bits(purpose, *counters)
    total = np.zeros(word.shape, dtype=np.int64)
    # One 64-bit word holds the four uniform numbers.
    for shift in (0, 16, 32, 48):
        total += ((word >> np.uint64(shift)) & _FIELD).astype(np.int64)
    drawn: Ints = ((total - 2 * 0xFFFF) * sd + _NORMAL_SD // 2) // _NORMAL_SD
    return drawn
