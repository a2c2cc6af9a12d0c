"""The episodes of a benchmark with more shots than it has."""

from __future__ import annotations

from metabench.episodes import ClassSampler, FamilySampler, Sampler
from metabench.errors import NotApplicable

LEAST_QUERIES = 5
"""Queries of each class that such episodes have at least, where the benchmark has as many."""


def with_shots(sampler: Sampler, shots: tuple[int, ...]) -> tuple[Sampler, tuple[int, ...]]:
    """The same stream of episodes with as many of these shots as the pool permits, and those shots.

    Where a class has too few examples, there are fewer queries.

    Args:
        sampler: the episodes.
        shots: numbers of shots; the episodes have the greatest that is possible.

    Raises:
        NotApplicable: the sampler is of an unknown kind, or a class has too few examples.
    """
    protocol = sampler.protocol
    if isinstance(sampler, FamilySampler):
        wide = protocol.with_(shots=max(shots))
        return FamilySampler(sampler.family, wide, sampler.key, sampler.device), shots
    if not isinstance(sampler, ClassSampler):
        raise NotApplicable("these episodes cannot be drawn with other shots.")
    possible = tuple(
        k for k in shots if k + min(LEAST_QUERIES, protocol.queries) <= sampler.pool.examples
    )
    if not possible:
        raise NotApplicable(
            f"a class has {sampler.pool.examples} examples, too few for {min(shots)} shots."
        )
    queries = min(protocol.queries, sampler.pool.examples - max(possible))
    wide = protocol.with_(shots=max(possible), queries=queries)
    return ClassSampler(sampler.pool, wide, sampler.key, sampler.device), possible
