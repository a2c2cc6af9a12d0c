"""Leakage by content: the same example in two splits, or in support and query of one episode."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metabench.datasets.base import ClassPool, Split
from metabench.episodes import TaskBatch
from metabench.errors import LeakageError

_Prints = NDArray[np.complex128]

_CHUNK_BYTES = 1 << 24  # a chunk becomes float64: eight times as large


def check_contents(pools: Mapping[Split, ClassPool]) -> list[str]:
    """Look for examples with the same content in two splits.

    Args:
        pools: The labelled examples of each split.

    Returns:
        A remark if meta-training and meta-validation share examples.

    Raises:
        LeakageError: If meta-test shares an example with another split.
    """
    prints = {split: _prints_of(pool) for split, pool in pools.items()}
    remarks = []
    for first, second in itertools.combinations(pools, 2):
        shared = np.intersect1d(prints[first], prints[second])
        if not len(shared):
            continue
        count = int(np.isin(prints[second], shared).sum())
        places = [
            f"'{_class_of(pools[split], prints[split], shared[0])}' of the {split} split"
            for split in (first, second)
        ]
        text = (
            f"the {first} and the {second} split share {count} example(s), such as one of "
            f"{places[0]} that is also one of {places[1]}."
        )
        if "test" in (first, second):
            raise LeakageError(
                text,
                hint="Remove it from one of the splits; the scores of this cell are invalid.",
            )
        # It biases the choice of a state, not the score. In the Omniglot split of the MAML paper
        # a character of meta-training is, rotated, one of meta-validation, to the pixel.
        remarks.append(text)
    return remarks


def repeats_examples(pool: ClassPool) -> bool:
    """Returns whether two examples of a pool have the same content."""
    prints = _prints_of(pool)
    return len(np.unique(prints)) < len(prints)


def count_repeated(batch: TaskBatch) -> int:
    """Returns the number of queries whose content is in the support set of their episode."""
    support, query = (
        fingerprints(x.flatten(0, 1)).reshape(x.shape[:2]) for x in (batch.support_x, batch.query_x)
    )
    return int((query[:, :, None] == support[:, None, :]).any(2).sum())


def fingerprints(examples: Tensor) -> _Prints:
    r"""Returns a hash of the content of each example.

    .. math:: h_j(x) = \sum_i r_{ij} x_i, \qquad r_{ij} \in \{0, \dots, 2^b - 1\}

    Over the bytes of an example, with fixed random numbers. Two different examples have the same
    hash with a probability of at most :math:`2^{-2b}` (Carter and Wegman 1979, "Universal classes
    of hash functions"): :math:`2^{-68}` for 28 x 28 bytes, and :math:`2^{-60}` for 84 x 84 colours.

    Args:
        examples: ``[N, *input]``, of any type.

    Returns:
        complex128 ``[N]``: the two sums of each example.
    """
    rows = examples.detach().cpu().flatten(1).contiguous().view(torch.uint8)
    length = rows.shape[1]
    # Every partial sum is an integer below 2^53: float64 products are exact in any order.
    bits = 53 - math.ceil(math.log2(255 * length + 1))
    generator = np.random.default_rng(0)
    numbers = generator.integers(0, 1 << bits, (length, 2)).astype(np.float64)
    multipliers = torch.from_numpy(numbers)
    step = max(1, _CHUNK_BYTES // length)
    sums = [chunk.double() @ multipliers for chunk in rows.split(step)]
    found: _Prints = torch.cat(sums).numpy().view(np.complex128)[:, 0]
    return found


def _prints_of(pool: ClassPool) -> _Prints:
    return fingerprints(pool.images.flatten(0, 1))


def _class_of(pool: ClassPool, prints: _Prints, one: np.complex128) -> str:
    """Returns the class of the first example with a hash."""
    row = int(np.flatnonzero(prints == one)[0])
    return pool.class_names[row // (pool.variants * pool.examples)]
