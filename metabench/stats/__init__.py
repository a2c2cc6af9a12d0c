"""Statistics over episodes, classes and seeds.

Three measures of spread, which no table mixes:

=====================  ======================================================
:func:`t_interval`     over the episodes: other episodes of the *same* classes
:func:`class_interval` over the classes: *new* test classes, origins or groups
:func:`seed_sd`        over the seeds: the same algorithm, trained again
=====================  ======================================================

:func:`bootstrap_means` takes all three together, and :func:`rank_intervals` what they leave of an
order. :func:`seeds_difference` compares two sides, and :func:`least_difference` plans that.

>>> t_interval([0.5, 0.5, 1.0, 1.0]).mean, round(seed_sd([0.74, 0.76]), 3)
(0.75, 0.014)
"""

from metabench.stats.aggregates import (
    average_rank_intervals,
    interquartile_interval,
    interquartile_mean,
    performance_profile,
)
from metabench.stats.bootstrap import Bootstrap, ClassSlots, bootstrap_means
from metabench.stats.classes import ClassInterval, class_interval
from metabench.stats.differences import Difference, holm_levels, seeds_difference
from metabench.stats.intervals import Interval, score_interval, share_interval, t_interval
from metabench.stats.permutation import (
    holm,
    permutation_test,
    permutation_tests,
)
from metabench.stats.power import least_difference
from metabench.stats.rank_intervals import RankIntervals, rank_intervals
from metabench.stats.ranks import (
    FEWEST_BENCHMARKS,
    Friedman,
    average_ranks,
    friedman,
    tied_groups,
)
from metabench.stats.seeds import seed_sd

__all__ = [
    "FEWEST_BENCHMARKS",
    "Bootstrap",
    "ClassInterval",
    "ClassSlots",
    "Difference",
    "Friedman",
    "Interval",
    "RankIntervals",
    "average_rank_intervals",
    "average_ranks",
    "bootstrap_means",
    "class_interval",
    "friedman",
    "holm",
    "holm_levels",
    "interquartile_interval",
    "interquartile_mean",
    "least_difference",
    "performance_profile",
    "permutation_test",
    "permutation_tests",
    "rank_intervals",
    "score_interval",
    "seed_sd",
    "seeds_difference",
    "share_interval",
    "t_interval",
    "tied_groups",
]
