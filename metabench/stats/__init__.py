"""Statistics over episodes, classes and seeds.

Three measures of spread, which no table mixes:

=====================  ======================================================
:func:`t_interval`     over the episodes: other episodes of the *same* classes
:func:`class_interval` over the classes: *new* test classes
:func:`seed_sd`        over the seeds: the same algorithm, trained again
=====================  ======================================================

>>> t_interval([0.5, 0.5, 1.0, 1.0]).mean, round(seed_sd([0.74, 0.76]), 3)
(0.75, 0.014)
"""

from metabench.stats.classes import ClassInterval, class_interval
from metabench.stats.intervals import Interval, t_interval
from metabench.stats.permutation import (
    holm,
    pairwise_permutation_tests,
    permutation_test,
    permutation_tests,
)
from metabench.stats.ranks import (
    FEWEST_BENCHMARKS,
    Friedman,
    average_ranks,
    friedman,
    shared_ranks,
    tied_groups,
)
from metabench.stats.seeds import seed_sd, seeds_test

__all__ = [
    "FEWEST_BENCHMARKS",
    "ClassInterval",
    "Friedman",
    "Interval",
    "average_ranks",
    "class_interval",
    "friedman",
    "holm",
    "pairwise_permutation_tests",
    "permutation_test",
    "permutation_tests",
    "seed_sd",
    "seeds_test",
    "shared_ranks",
    "t_interval",
    "tied_groups",
]
