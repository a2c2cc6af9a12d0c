"""The base of all executors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar

from metabench.records.schema import Record
from metabench.running.job import Job, Terms


class Executor(ABC):
    """Where cells run: in this process, in others, on a cluster.

    Args:
        terms: what the run asks for. A constructor that cannot keep to them raises UsageError.

    Attributes:
        name: what ``metabench run --executor`` calls it.
    """

    name: ClassVar[str]

    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    @abstractmethod
    def run(self, jobs: Iterable[Job]) -> Iterator[Record]:
        """Run cells, and give the one record of each as it ends, in any order.

        On KeyboardInterrupt it ends what it started, may give records with the status ``interrupted``, and
        lets the interrupt go on.
        """
