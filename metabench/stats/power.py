"""The power of a comparison, and the least difference that it detects."""

from __future__ import annotations

import math

from scipy import special


def least_difference(
    seed_sd: float,
    *,
    seeds: int,
    base_seeds: int | None = None,
    episode_sd: float = 0.0,
    episodes: int = 600,
    min_effect: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.9,
) -> float:
    r"""Returns the least true difference that a comparison detects with a given power.

    It is detected if Student's test is significant and the observed difference is at least the
    least effect. The first has noncentrality :math:`\delta / \sqrt{V}` with the variance of
    :func:`~metabench.stats.seeds_difference`.

    >>> print(f"{least_difference(0.006, seeds=3):.4f}, {least_difference(0.006, seeds=5):.4f}")
    0.0215, 0.0141

    Args:
        seed_sd: The standard deviation of the mean score over seeds.
        seeds: The number of seeds of the new side.
        base_seeds: The number of seeds of the base, by default the same.
        episode_sd: The standard deviation, over episodes, of a seed's deviation from the mean of
            the seeds.
        episodes: The number of test episodes.
        min_effect: The least effect that matters.
        alpha: The two-sided level of the test, after any correction.
        power: The probability of detecting the difference.

    Returns:
        The difference; infinite if neither side has two seeds.
    """
    others = seeds if base_seeds is None else base_seeds
    freedom = seeds + others - 2
    if freedom < 1:
        return math.inf
    shares = 1 / seeds + 1 / others
    # The same error as that of seeds_difference, which counts the episodes of a seed twice.
    error = math.sqrt((seed_sd**2 + episode_sd**2 / episodes) * shares)
    critical = float(special.stdtrit(freedom, 1 - alpha / 2))
    # The observed difference varies by the seeds alone: episodes are the same on both sides.
    observed = min_effect + float(special.ndtri(power)) * seed_sd * math.sqrt(shares)
    return max(observed, _noncentrality(freedom, critical, power) * error)


def _noncentrality(freedom: int, critical: float, power: float) -> float:
    """Returns the noncentrality at which the t-statistic exceeds a value with a probability."""
    low, high = 0.0, 10.0
    # Doubled first, because few degrees of freedom and a small level need a large noncentrality.
    while special.nctdtr(freedom, high, critical) > 1 - power:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        if special.nctdtr(freedom, middle, critical) > 1 - power:
            low = middle
        else:
            high = middle
    return high
