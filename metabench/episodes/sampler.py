"""Episode number ``i`` of a sampler is a pure function of the sampler's key and ``i``."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from metabench.episodes.protocol import NWayKShot
from metabench.episodes.types import TaskBatch
from metabench.errors import ProtocolError
from metabench.seeding import below, distinct_below, random_bits, shuffle_order, uniform

DIGEST_CHUNK = 256


class Pool(Protocol):
    """The part of :class:`metabench.datasets.ClassPool` that drawing needs."""

    @property
    def images(self) -> Tensor:
        """uint8 ``[classes * variants, examples, *input]``."""

    @property
    def variants(self) -> int:
        """Rows that show one class."""

    @property
    def classes(self) -> int:
        """How many classes there are."""

    @property
    def examples(self) -> int:
        """How many examples each class has."""

    @property
    def digest(self) -> str:
        """The sha256 of the contents."""


class Family(Protocol):
    """The part of :class:`metabench.datasets.TaskFamily` that drawing needs."""

    @property
    def parameters(self) -> int:
        """Random numbers that make a task."""

    @property
    def input_size(self) -> int:
        """Random numbers that make an input."""

    @property
    def digest(self) -> str:
        """Stands for the family's definition."""

    def evaluate(self, parameters: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Uniform numbers, float64 ``[T, parameters]`` and ``[T, B, input_size]``, to ``x`` and ``y``."""


class Sampler(ABC):
    """Draws episodes of one protocol.

    Args:
        protocol: the shape of an episode.
        key: what sets this stream of episodes apart, from :func:`metabench.seeding.make_key`.
        device: where the episodes are made.
    """

    def __init__(self, protocol: NWayKShot, key: int, device: torch.device | str) -> None:
        self.protocol = protocol
        self.key = key
        self.device = torch.device(device)

    @abstractmethod
    def tasks(self, indices: Tensor) -> TaskBatch:
        """The episodes with these indices, int64 ``[T]``, in this order."""

    @abstractmethod
    def fingerprint(self, indices: Tensor) -> bytes:
        """Bytes that are another for every other drawing of these episodes."""

    @abstractmethod
    def source_digest(self) -> str:
        """The sha256 of what the episodes are drawn from."""

    def range(self, start: int, stop: int) -> TaskBatch:
        """The episodes ``start`` to ``stop - 1``."""
        return self.tasks(torch.arange(start, stop, device=self.device))

    def digest(self, episodes: int) -> str:
        """The sha256 of the first ``episodes`` episodes: of the data and of everything drawn from them."""
        h = hashlib.sha256(repr((self.source_digest(), self.protocol)).encode())
        for start in range(0, episodes, DIGEST_CHUNK):
            stop = min(start + DIGEST_CHUNK, episodes)
            h.update(self.fingerprint(torch.arange(start, stop, device=self.device)))
        return h.hexdigest()


@dataclass(frozen=True, eq=False)
class Draw:
    """What was drawn for ``T`` episodes, before any image is touched.

    Args:
        classes: int64 ``[T, ways]``, the class of the pool behind each label.
        rows: int64 ``[T, ways]``, the row of the pool: the class, or one of its variants.
        examples: int64 ``[T, ways, shots + queries]``, the support examples first.
        query_order: int64 ``[T, ways * queries]``, the order that the queries come in.
    """

    classes: Tensor
    rows: Tensor
    examples: Tensor
    query_order: Tensor


class ClassSampler(Sampler):
    """Draws N-way K-shot episodes from a pool of labelled examples.

    One index computation and one gather for a whole batch of episodes; no loop over examples. Queries come
    in a random order, so that a method that sees them all at once learns nothing from their places.

    Raises:
        ProtocolError: the pool cannot give such episodes.
    """

    def __init__(
        self,
        pool: Pool,
        protocol: NWayKShot,
        key: int,
        device: torch.device | str = "cpu",
        *,
        where: str = "the pool",
    ) -> None:
        super().__init__(protocol, key, device)
        protocol.check_pool(pool.classes, pool.examples, where=where)
        self.pool = pool
        self._flat = pool.images.to(self.device).flatten(0, 1)
        n, k, q = protocol.ways, protocol.shots, protocol.queries
        labels = torch.arange(n, device=self.device)
        self._support_labels = labels.repeat_interleave(k)
        self._query_labels = labels.repeat_interleave(q)

    def draw(self, indices: Tensor) -> Draw:
        """The classes and examples of these episodes."""
        n, per_class = self.protocol.ways, self.protocol.per_class
        have, queries = self.pool.examples, self.protocol.query_size
        bits = random_bits(self.key, indices, 3 * n + n * have + queries)
        which, order, variant, example, query = bits.split([n, n, n, n * have, queries], dim=1)
        classes = distinct_below(which, self.pool.classes).gather(1, shuffle_order(order))
        rows = classes * self.pool.variants + below(variant, self.pool.variants)
        examples = shuffle_order(example.view(-1, n, have))[..., :per_class]
        return Draw(classes, rows, examples, shuffle_order(query))

    def tasks(self, indices: Tensor) -> TaskBatch:
        """The episodes with these indices; see :class:`Sampler`."""
        k, count = self.protocol.shots, len(indices)
        draw = self.draw(indices)
        places = draw.rows.unsqueeze(-1) * self.pool.examples + draw.examples
        support = places[..., :k].reshape(count, -1)
        query = places[..., k:].reshape(count, -1).gather(1, draw.query_order)
        return TaskBatch(
            self._gather(support),
            self._support_labels.expand(count, -1),
            self._gather(query),
            self._query_labels.expand(count, -1).gather(1, draw.query_order),
            self.protocol.ways,
            draw.classes,
        )

    def fingerprint(self, indices: Tensor) -> bytes:
        """The drawn indices as bytes; see :class:`Sampler`."""
        draw = self.draw(indices)
        parts = (draw.rows, draw.examples, draw.query_order)
        return b"".join(part.cpu().contiguous().numpy().tobytes() for part in parts)

    def source_digest(self) -> str:
        """The sha256 of the pool."""
        return self.pool.digest

    def _gather(self, places: Tensor) -> Tensor:
        images = self._flat.index_select(0, places.flatten()).to(torch.float32)
        # A product is the same bits on every device; CUDA divides by a scalar with its reciprocal anyway.
        return images.mul_(1 / 255).view(*places.shape, *self._flat.shape[1:])


class FamilySampler(Sampler):
    """Draws K-shot regression tasks from a family of functions.

    Random numbers and function values are computed in float64 on the CPU and rounded once, so that every
    device is given the same bits.

    Raises:
        ProtocolError: the protocol is one for classification.
    """

    def __init__(
        self,
        family: Family,
        protocol: NWayKShot,
        key: int,
        device: torch.device | str = "cpu",
        *,
        where: str = "the family",
    ) -> None:
        super().__init__(protocol, key, device)
        if protocol.ways:
            raise ProtocolError(
                f"{where} is a regression family, and {protocol.ways}-way episodes are for classes.",
                hint="Give the protocol 0 ways.",
            )
        self.family = family

    def draw(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Uniform float64 numbers: ``[T, parameters]`` and ``[T, examples, input_size]``."""
        p, size, b = self.family.parameters, self.family.input_size, self.protocol.examples
        numbers = uniform(random_bits(self.key, indices.cpu(), p + b * size))
        return numbers[:, :p], numbers[:, p:].view(-1, b, size)

    def tasks(self, indices: Tensor) -> TaskBatch:
        """The tasks with these indices; see :class:`Sampler`."""
        k = self.protocol.shots
        x, y = (part.to(self.device, torch.float32) for part in self.family.evaluate(*self.draw(indices)))
        classes = torch.empty(len(indices), 0, dtype=torch.int64, device=self.device)
        return TaskBatch(x[:, :k], y[:, :k], x[:, k:], y[:, k:], 0, classes)

    def fingerprint(self, indices: Tensor) -> bytes:
        """The drawn numbers as bytes; see :class:`Sampler`."""
        return b"".join(part.contiguous().numpy().tobytes() for part in self.draw(indices))

    def source_digest(self) -> str:
        """What stands for the family's definition."""
        return self.family.digest
