"""Samplers: episode ``i`` is a pure function of the sampler's key and ``i``."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import ClassVar, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor

from metabench.episodes.protocol import NWayKShot
from metabench.episodes.types import TaskBatch

DIGEST_CHUNK = 256
"""Episodes that are drawn together for a digest; it bounds the memory that this takes."""

# Drawing the indices of a few episodes takes as long as drawing those of a hundred: the cost is
# that of some fifty small NumPy calls.
PREFETCH_EXAMPLES = 8192
"""Examples whose indices are drawn together, ahead of the episodes that are asked for."""


class Sampler(ABC):
    """Draws episodes of one protocol.

    Args:
        protocol: Shape of the episodes.
        key: Identifies this stream of episodes; see :func:`metabench.runtime.counter_rng.make_key`.
        device: Device of the episodes.

    Attributes:
        chunk_examples: Number of examples to request in one call where many are needed: enough to
            make the fixed cost of a call small, few enough to stay in the processor's cache.
    """

    chunk_examples: ClassVar[int] = 2048

    def __init__(self, protocol: NWayKShot, key: int, device: torch.device | str) -> None:
        self.protocol = protocol
        self.key = key
        self.device = torch.device(device)

    @abstractmethod
    def tasks(self, indices: Tensor) -> TaskBatch:
        """Returns the episodes with the given indices, int64 ``[T]``, in that order."""

    @abstractmethod
    def fingerprint(self, indices: Tensor) -> bytes:
        """Returns bytes that identify what is drawn for these episodes, one after the other."""

    @abstractmethod
    def source_digest(self) -> str:
        """Returns the sha256 of the data that episodes are drawn from."""

    def range(self, start: int, stop: int) -> TaskBatch:
        """Returns the episodes ``start`` to ``stop - 1``."""
        return self.tasks(torch.arange(start, stop))

    def digest(self, episodes: int) -> str:
        """Returns the sha256 of the data, the protocol and all that is drawn for some episodes.

        Args:
            episodes: Number of episodes, from the first on.
        """
        # The protocol's repr is part of every stored digest.
        h = hashlib.sha256(repr((self.source_digest(), self.protocol)).encode())
        for start in range(0, episodes, DIGEST_CHUNK):
            stop = min(start + DIGEST_CHUNK, episodes)
            h.update(self.fingerprint(torch.arange(start, stop)))
        return h.hexdigest()


class _Drawn(Protocol):
    """The random part of ``T`` episodes: indices into a pool, or uniform numbers."""

    def __len__(self) -> int: ...

    def __getitem__(self, tasks: slice, /) -> Self: ...


D = TypeVar("D", bound=_Drawn)


class PrefetchingSampler(Sampler, Generic[D]):
    """A sampler that draws the random part of more episodes than requested and keeps it.

    Args:
        protocol: Shape of the episodes.
        key: Identifies this stream of episodes.
        device: Device of the episodes.
    """

    def __init__(self, protocol: NWayKShot, key: int, device: torch.device | str) -> None:
        super().__init__(protocol, key, device)
        self._prefetched: D | None = None
        self._prefetched_start = 0

    @abstractmethod
    def draw(self, indices: Tensor) -> D:
        """Draw the random part of the episodes with these indices, int64 ``[T]``."""

    @abstractmethod
    def assemble(self, drawn: D) -> TaskBatch:
        """Build episodes from what was drawn, without sharing memory with it.

        An algorithm may change a batch in place; that must not reach prefetched episodes.
        """

    def tasks(self, indices: Tensor) -> TaskBatch:
        """Returns the episodes with these indices; see :class:`Sampler`."""
        return self.assemble(self.draw(indices))

    def range(self, start: int, stop: int) -> TaskBatch:
        """Returns the episodes ``start`` to ``stop - 1``; fastest for consecutive ranges."""
        first = start - self._prefetched_start
        if (
            self._prefetched is None
            or first < 0
            or stop - self._prefetched_start > len(self._prefetched)
        ):
            end = max(stop, start + PREFETCH_EXAMPLES // self.protocol.examples)
            self._prefetched = self.draw(torch.arange(start, end))
            self._prefetched_start, first = start, 0
        return self.assemble(self._prefetched[first : first + stop - start])
