"""Protocols: how episodes are drawn from a data set."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metabench.errors import ProtocolError


@dataclass(frozen=True)
class NWayKShot:
    """N-way K-shot episodes, and K-shot regression where ``ways`` is 0.

    The classes of an episode are drawn uniformly without replacement, then the examples of each class; the
    label of a class is its place in a uniformly random order (Vinyals et al. 2016, arXiv:1606.04080).

    Args:
        ways: classes in an episode; 0 for regression.
        shots: support examples for each class (in regression: for the task).
        queries: query examples for each class (in regression: for the task).

    Raises:
        ProtocolError: one of them cannot be.
    """

    ways: int
    shots: int
    queries: int

    def __post_init__(self) -> None:
        if self.ways < 0 or self.ways == 1:
            raise ProtocolError(
                f"{self.ways}-way episodes cannot be.",
                hint="A classification episode has at least 2 ways; 0 ways means regression.",
            )
        if self.shots < 1 or self.queries < 1:
            raise ProtocolError(
                f"an episode with {self.shots} shots and {self.queries} queries cannot be.",
                hint="Both must be at least 1.",
            )

    @property
    def per_class(self) -> int:
        """Examples drawn from each class."""
        return self.shots + self.queries

    @property
    def support_size(self) -> int:
        """Support examples in an episode."""
        return self.shots * max(self.ways, 1)

    @property
    def query_size(self) -> int:
        """Query examples in an episode."""
        return self.queries * max(self.ways, 1)

    @property
    def examples(self) -> int:
        """What an episode costs: its support and query examples."""
        return self.support_size + self.query_size

    def with_(
        self, *, ways: int | None = None, shots: int | None = None, queries: int | None = None
    ) -> NWayKShot:
        """The same protocol with some of its numbers changed."""
        changes = {"ways": ways, "shots": shots, "queries": queries}
        return replace(
            self, **{name: value for name, value in changes.items() if value is not None}
        )

    def check_pool(self, classes: int, examples: int, *, where: str) -> None:
        """Raise ProtocolError unless a pool of this size can give such episodes.

        Args:
            classes: classes in the pool.
            examples: examples of each class.
            where: the pool, in words, for the message.
        """
        if self.ways == 0:
            raise ProtocolError(
                f"{where} holds labelled classes, and a protocol with 0 ways is for regression.",
                hint="Give the protocol at least 2 ways.",
            )
        if self.ways > classes:
            raise ProtocolError(
                f"{self.ways}-way episodes cannot be drawn from the {classes} classes of {where}.",
                hint=f"Ask for at most {classes} ways.",
            )
        if self.per_class > examples:
            raise ProtocolError(
                f"{self.shots} shots and {self.queries} queries need {self.per_class} examples of a class, "
                f"and each class of {where} has {examples}.",
                hint=f"Ask for shots and queries that together make at most {examples}.",
            )
