"""Random integers that are the same on every machine: a hash of what they are for, and nothing else.

numpy's and torch's generators promise no stable streams between versions, and floating-point
distributions round as the mathematical library pleases. Here every number is an integer function of a
seed and a few counters: what is drawn does not depend on what was drawn before.
"""

from __future__ import annotations

import zlib
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]

SEED = 20151211
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIELD = np.uint64(0xFFFF)
_BELL_SD = 37837
"""The standard deviation of the sum of four uniform 16-bit integers."""


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014): each output bit hangs on every input bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def bits(purpose: str, *counters: Ints) -> NDArray[np.uint64]:
    """64 random bits for each combination of the counters, which broadcast.

    Args:
        purpose: what the bits are for; another purpose gives independent bits.
        counters: non-negative integers that say which number of that purpose is meant.
    """
    state = np.array([SEED * 2**32 + zlib.crc32(purpose.encode())], dtype=np.uint64)
    for counter in counters:
        state = _mix((state ^ counter.astype(np.uint64)) + _GOLDEN)
    return state


def below(n: int | Ints, purpose: str, *counters: Ints) -> Ints:
    """Uniform integers in ``[0, n)``."""
    high = (bits(purpose, *counters) >> np.uint64(32)).astype(np.int64)
    return (high * n) >> 32


def between(low: int, high: int, purpose: str, *counters: Ints) -> Ints:
    """Uniform integers in ``[low, high]``."""
    return low + below(high - low + 1, purpose, *counters)


def bell(sd: int | Ints, purpose: str, *counters: Ints) -> Ints:
    """Bell-shaped integers of mean 0: sums of four uniforms, so never beyond 3.5 standard deviations."""
    word = bits(purpose, *counters)
    total = np.zeros(word.shape, dtype=np.int64)
    for shift in (0, 16, 32, 48):
        total += ((word >> np.uint64(shift)) & _FIELD).astype(np.int64)
    drawn: Ints = ((total - 2 * 0xFFFF) * sd + _BELL_SD // 2) // _BELL_SD
    return drawn
