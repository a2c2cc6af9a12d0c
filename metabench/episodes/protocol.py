"""Protocols: how episodes are drawn from a data set."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metabench.errors import ProtocolError
from metabench.utils.text import counted


@dataclass(frozen=True)
class NWayKShot:
    """N-way K-shot episodes; K-shot regression tasks where ``ways`` is 0.

    The classes of an episode are drawn uniformly without replacement, then the examples of each
    class. Labels number the classes in uniformly random order (Vinyals et al. 2016,
    arXiv:1606.04080).

    Args:
        ways: Classes per episode; 0 for regression.
        shots: Support examples per class; per task in regression.
        queries: Query examples per class; per task in regression.

    Raises:
        ProtocolError: If ``ways`` is 1 or negative, or ``shots`` or ``queries`` is below 1.
    """

    ways: int
    shots: int
    queries: int

    def __post_init__(self) -> None:
        if self.ways < 0 or self.ways == 1:
            raise ProtocolError(
                f"{self.ways}-way episodes do not exist.",
                hint="A classification episode has at least 2 ways; 0 ways means regression.",
            )
        if self.shots < 1 or self.queries < 1:
            raise ProtocolError(
                f"an episode cannot have {self._shots_and_queries}.",
                hint="Both must be at least 1.",
            )

    @property
    def _shots_and_queries(self) -> str:
        return f"{counted(self.shots, 'shot')} and {counted(self.queries, 'query', 'queries')}"

    @property
    def per_class(self) -> int:
        """Examples drawn from each class."""
        return self.shots + self.queries

    @property
    def support_size(self) -> int:
        """Support examples per episode."""
        return self.shots * max(self.ways, 1)

    @property
    def query_size(self) -> int:
        """Query examples per episode."""
        return self.queries * max(self.ways, 1)

    @property
    def examples(self) -> int:
        """Cost of an episode: its support and query examples."""
        return self.support_size + self.query_size

    def with_(
        self, *, ways: int | None = None, shots: int | None = None, queries: int | None = None
    ) -> NWayKShot:
        """Returns the protocol with the given numbers changed."""
        changes = {"ways": ways, "shots": shots, "queries": queries}
        return replace(
            self, **{name: value for name, value in changes.items() if value is not None}
        )

    def check_pool(self, classes: int, examples: int, *, source: str) -> None:
        """Check that such episodes can be drawn from a pool of this size.

        Args:
            classes: Classes in the pool.
            examples: Examples of each class.
            source: Description of the pool for the error message.

        Raises:
            ProtocolError: If the pool has too few classes or examples, or the protocol is one for
                regression.
        """
        if self.ways == 0:
            raise ProtocolError(
                f"{source} holds labelled classes, and a protocol with 0 ways is for regression.",
                hint="Give the protocol at least 2 ways.",
            )
        if self.ways > classes:
            raise ProtocolError(
                f"{self.ways}-way episodes cannot be drawn from the "
                f"{counted(classes, 'class', 'classes')} of {source}.",
                hint=f"Ask for at most {counted(classes, 'way')}."
                if classes > 1
                else "An episode has at least 2 ways: choose another data set.",
            )
        if self.per_class > examples:
            raise ProtocolError(
                f"{self._shots_and_queries} need {self.per_class} examples of a class, but each "
                f"class of {source} has {examples}.",
                hint=f"Ask for shots and queries that add up to at most {examples}.",
            )
