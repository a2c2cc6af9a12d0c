"""Judge whether a public score holds on test episodes that were drawn with a secret salt."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metabench.compare.pairing import Pair
from metabench.stats import Difference

if TYPE_CHECKING:
    from metabench.compare.verdicts import ComparisonRow, PendingRow, Verdict


def is_salted(pair: Pair) -> bool:
    """Whether the sides of a pair are one benchmark, and one side alone has salted episodes."""
    base, new = pair.base[0].benchmark, pair.new[0].benchmark
    one_sided = bool(base.episodes_salt) != bool(new.episodes_salt)
    return one_sided and base.public.scored == new.public.scored


def welch_difference(base: NDArray[np.float64], new: NDArray[np.float64]) -> Difference:
    r"""Compare the mean scores on two sets of episodes, which have no pairs.

    .. math:: t = \frac{\bar{n} - \bar{b}}{\sqrt{s_n^2 / N + s_b^2 / B}}

    Reference: Welch 1947, "The generalization of 'Student's' problem when several different
    population variances are involved", equation 28 for the degrees of freedom.

    >>> found = welch_difference(np.array([0.7, 0.8, 0.9]), np.array([0.5, 0.6, 0.7, 0.8]))
    >>> round(found.p_value, 4), round(found.interval(0.95)[1], 4)
    (0.1443, 0.0732)

    Args:
        base: Score of each episode, ``[B]``.
        new: Score of each of the other episodes, ``[N]``.

    Returns:
        The difference. Its error is NaN if a side has one episode.
    """
    mean = float(new.mean() - base.mean())
    if min(len(base), len(new)) < 2:
        return Difference(mean, math.nan, math.nan, seeds_known=False)
    variances = [float(np.var(side, ddof=1)) / len(side) for side in (base, new)]
    error = math.sqrt(sum(variances))
    if error == 0:  # the t statistic has no value
        return Difference(mean, 0.0, 1.0, seeds_known=True)
    weights = [v**2 / (len(side) - 1) for v, side in zip(variances, (base, new), strict=True)]
    # The same trained model on both sides: no variation between seeds is left out.
    return Difference(mean, error, error**4 / sum(weights), seeds_known=True)


def decide_salted(
    pending: PendingRow, *, p_value: float, min_effect: float, alpha: float
) -> ComparisonRow:
    """Returns the row with its verdict, and with whether the public score holds as its reason.

    It holds if the salted episodes show that it is not too high by the minimum effect.

    Args:
        pending: The row.
        p_value: The corrected p-value.
        min_effect: The minimum effect.
        alpha: The significance level.
    """
    row = pending.row
    assert row.effect is not None
    gain = -row.effect if pending.salted_base else row.effect
    least = -math.inf if row.ci95 is None else gain - row.ci95 / (pending.scale or 1.0)
    verdict: Verdict
    if p_value < alpha and abs(gain) >= min_effect:
        verdict = "better" if row.effect > 0 else "worse"
        held = "holds" if gain > 0 else "does not hold"
        reason = f"the public score {held} on the salted episodes"
    elif least > -min_effect:
        verdict, reason = "equivalent", "the public score holds on the salted episodes"
    else:
        verdict = "undecided"
        reason = "too few episodes to tell whether the public score holds"
    p_episodes = pending.difference.p_value
    return replace(row, verdict=verdict, p_episodes=p_episodes, p_value=p_value, reason=reason)
