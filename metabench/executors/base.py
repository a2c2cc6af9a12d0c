"""The base class of all executors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar

from metabench.records.schema import Record
from metabench.running.job import Job, Terms


class Executor(ABC):
    """Runs cells: in this process, in worker processes, on a cluster.

    Args:
        terms: What the run requires. A constructor that cannot keep to it raises UsageError.

    Attributes:
        name: The name for ``metabench run --executor``.
    """

    name: ClassVar[str]

    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    @abstractmethod
    def run(self, jobs: Iterable[Job]) -> Iterator[Record]:
        """Run cells. Yields one record for each as it ends, in any order.

        On KeyboardInterrupt it ends what it started, may yield records with the status
        ``interrupted``, and raises the interrupt again.
        """
