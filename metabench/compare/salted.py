"""Judge whether a public score holds on test episodes that were drawn with a secret salt."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from metabench.compare.pairing import Pair
from metabench.records.schema import SHARE

if TYPE_CHECKING:
    from metabench.compare.verdicts import ComparisonRow, Verdict


def is_salted(pair: Pair) -> bool:
    """Whether the sides of a pair are one benchmark, and one side alone has salted episodes."""
    base, new = pair.base[0].benchmark, pair.new[0].benchmark
    one_sided = bool(base.episodes_salt) != bool(new.episodes_salt)
    return one_sided and base.public.scored == new.public.scored


def welch_test(base: NDArray[np.float64], new: NDArray[np.float64]) -> tuple[float, float]:
    r"""Compare the mean scores on two sets of episodes, which have no pairs.

    .. math:: t = \frac{\bar{n} - \bar{b}}{\sqrt{s_n^2 / N + s_b^2 / B}}

    Reference: Welch 1947, "The generalization of 'Student's' problem when several different
    population variances are involved", equation 28 for the degrees of freedom.

    >>> p, half_width = welch_test(np.array([0.7, 0.8, 0.9]), np.array([0.5, 0.6, 0.7, 0.8]))
    >>> round(p, 4), round(half_width, 4)
    (0.1443, 0.2232)

    Args:
        base: Score of each episode, ``[B]``.
        new: Score of each of the other episodes, ``[N]``.

    Returns:
        The two-sided p-value, and half the width of the 95 % interval of the difference. NaN if a
        side has one episode.
    """
    if min(len(base), len(new)) < 2:
        return math.nan, math.nan
    variances = [float(np.var(side, ddof=1)) / len(side) for side in (base, new)]
    error = math.sqrt(sum(variances))
    difference = float(new.mean() - base.mean())
    if error == 0:  # the t statistic has no value
        return float(difference == 0), 0.0
    weights = [v**2 / (len(side) - 1) for v, side in zip(variances, (base, new), strict=True)]
    freedom = error**4 / sum(weights)
    p_value = 2 * float(special.stdtr(freedom, -abs(difference) / error))
    return p_value, error * float(special.stdtrit(freedom, 0.975))


def decide_salted(
    row: ComparisonRow, *, salted_base: bool, p_value: float, min_effect: float, alpha: float
) -> ComparisonRow:
    """Returns the row with its verdict, and with whether the public score holds as its reason.

    Args:
        row: The row.
        salted_base: Whether the base has the salted episodes; otherwise the new side has them.
        p_value: The corrected p-value.
        min_effect: The minimum effect.
        alpha: The significance level.
    """
    assert row.effect is not None
    assert row.base is not None
    assert row.new is not None
    gain = -row.effect if salted_base else row.effect
    # As the effect: relative, unless the scores are shares.
    scale = 1.0 if row.unit == SHARE else max(abs(row.base), abs(row.new)) or 1.0
    least = -math.inf if row.ci95 is None else gain - row.ci95 / scale
    verdict: Verdict = "same"
    if p_value < alpha and abs(gain) >= min_effect:
        verdict = "better" if row.effect > 0 else "worse"
        held = "holds" if gain > 0 else "does not hold"
        reason = f"the public score {held} on the salted episodes"
    elif least > -min_effect:
        reason = "the public score holds on the salted episodes"
    else:
        reason = "too few episodes to tell whether the public score holds"
    return replace(row, verdict=verdict, p_value=p_value, reason=reason)
