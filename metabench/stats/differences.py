"""The difference of two sides that were trained on several seeds each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special


@dataclass(frozen=True)
class Difference:
    """A mean difference with its standard error.

    Attributes:
        mean: The mean of the new side minus that of the base.
        error: Its standard error.
        freedom: The degrees of freedom of the error.
        seeds_known: Whether the error holds the variation between seeds: a side with two seeds
            shows it.
    """

    mean: float
    error: float
    freedom: float
    seeds_known: bool

    @property
    def p_value(self) -> float:
        """The two-sided p-value of no difference."""
        return min(1.0, 2 * self._tail(abs(self.mean)))

    def equivalence(self, margin: float) -> float:
        """Returns the p-value of a difference of at least a margin, in either direction.

        The larger p-value of two one-sided tests.

        Args:
            margin: The least difference that matters.

        Reference: Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15.
        """
        return self._tail(margin - abs(self.mean))

    def interval(self, confidence: float) -> tuple[float, float]:
        """Returns the ends of the two-sided interval of the difference."""
        quantile = float(special.stdtrit(self.freedom, 0.5 + confidence / 2))
        half = quantile * self.error if self.error != 0 else 0.0  # NaN stays NaN
        return self.mean - half, self.mean + half

    def _tail(self, gap: float) -> float:
        """Returns the probability that chance alone gives a gap of at least this size."""
        if self.error == 0:
            return 0.0 if gap > 0 else 1.0
        return float(special.stdtr(self.freedom, -gap / self.error))


def seeds_difference(base: ArrayLike, new: ArrayLike) -> Difference:
    r"""Returns the difference of two sides, each with the same episodes and with seeds of its own.

    .. math::
        V = s^2 \left(\frac{1}{|b|} + \frac{1}{|n|}\right) + \frac{s_d^2}{E}

    :math:`s^2` is the pooled variance of the seeds' means, and :math:`s_d^2` that of the paired
    differences of the episodes. The interaction of seeds and episodes is in both, which errs on
    the safe side. The degrees of freedom are Satterthwaite's.

    >>> base = [[0.9, 0.8, 0.7], [0.8, 0.8, 0.6], [0.9, 0.7, 0.7]]
    >>> found = seeds_difference(base, [[0.8, 0.7, 0.6], [0.7, 0.7, 0.5], [0.8, 0.6, 0.6]])
    >>> print(f"{found.mean:.2f} ± {found.error:.3f}, p = {found.p_value:.3f}")
    -0.10 ± 0.027, p = 0.021

    Args:
        base: The scores of one side, ``[seeds, E]``.
        new: The scores of the other side, ``[seeds, E]``; the seeds need not be the same.

    Raises:
        ValueError: If a side has no seed, or the episodes differ in number.

    Reference: Hillis 2014, Statistics in Medicine 33 (readers nested in tests, crossed with
    cases); the seeds are the readers here.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (base, new)]
    matrices = all(side.ndim == 2 and side.size for side in sides)
    if not matrices or sides[0].shape[1] != sides[1].shape[1]:
        raise ValueError(
            "both sides must be [seeds, episodes] with the same episodes; they are "
            f"{sides[0].shape} and {sides[1].shape}"
        )
    paired = sides[1].mean(0) - sides[0].mean(0)
    episodes = len(paired)
    within = float(paired.var(ddof=1)) / episodes if episodes > 1 else 0.0
    # Not paired by seed: the smallest change of arithmetic makes two trainings from one seed as
    # different as trainings from two.
    freedom = sum(len(side) - 1 for side in sides)
    squares = sum(float(np.square(_means(side) - _means(side).mean()).sum()) for side in sides)
    between = 0.0 if freedom == 0 else squares / freedom * sum(1 / len(side) for side in sides)
    variance = between + within
    uncertain = between**2 / max(1, freedom) + within**2 / max(1, episodes - 1)
    return Difference(
        float(paired.mean()),
        math.sqrt(variance),
        variance**2 / uncertain if uncertain > 0 else max(1.0, float(freedom)),
        freedom > 0,
    )


def _means(side: np.ndarray) -> np.ndarray:
    return np.asarray(side.mean(1))


def holm_levels(p_values: Sequence[float], alpha: float) -> list[float]:
    """Returns the level at which Holm's procedure judges each test.

    A test is rejected by :func:`~metabench.stats.holm` if its p-value is below its level, so that
    an interval at this level shows the verdict.

    >>> [round(level, 4) for level in holm_levels([0.01, 0.04, 0.03], 0.05)]
    [0.0167, 0.025, 0.025]

    Args:
        p_values: The p-values, ``[m]``.
        alpha: The level of all tests together.
    """
    levels = [alpha] * len(p_values)
    level = 0.0
    failed = False
    for place, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if not failed:  # the procedure ends at the first test that is not rejected
            level = alpha / (len(p_values) - place)
            failed = p_values[i] >= level
        levels[i] = level
    return levels
