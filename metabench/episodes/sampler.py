"""Episode number ``i`` of a sampler is a pure function of the sampler's key and ``i``."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from metabench.episodes.images import Gatherer
from metabench.episodes.protocol import NWayKShot
from metabench.episodes.types import TaskBatch
from metabench.errors import ProtocolError
from metabench.runtime.counter_rng import (
    Ints,
    below,
    first_distinct,
    random_bits,
    shuffled,
    uniform,
)

DIGEST_CHUNK = 256
AHEAD_EXAMPLES = 8192
"""Examples drawn at once, ahead of those asked for: a few episodes cost as much to draw as a hundred."""


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
        key: what sets this stream of episodes apart, from :func:`metabench.runtime.counter_rng.make_key`.
        device: where the episodes are made.

    Attributes:
        at_once: examples to ask for in one go, where many are wanted: enough to make the fixed cost of
            drawing small, few enough to stay in cache.
    """

    at_once: ClassVar[int] = 2048

    def __init__(self, protocol: NWayKShot, key: int, device: torch.device | str) -> None:
        self.protocol = protocol
        self.key = key
        self.device = torch.device(device)

    @abstractmethod
    def tasks(self, indices: Tensor) -> TaskBatch:
        """The episodes with these indices, int64 ``[T]``, in this order."""

    @abstractmethod
    def fingerprint(self, indices: Tensor) -> bytes:
        """Bytes that are another for every other drawing of these episodes, one episode after the other."""

    @abstractmethod
    def source_digest(self) -> str:
        """The sha256 of what the episodes are drawn from."""

    def range(self, start: int, stop: int) -> TaskBatch:
        """The episodes ``start`` to ``stop - 1``."""
        return self.tasks(torch.arange(start, stop))

    def digest(self, episodes: int) -> str:
        """The sha256 of the first ``episodes`` episodes: of the data and of everything drawn from them."""
        h = hashlib.sha256(repr((self.source_digest(), self.protocol)).encode())
        for start in range(0, episodes, DIGEST_CHUNK):
            stop = min(start + DIGEST_CHUNK, episodes)
            h.update(self.fingerprint(torch.arange(start, stop)))
        return h.hexdigest()


@dataclass(frozen=True, eq=False)
class Draw:
    """What was drawn for ``T`` episodes, before any image is touched.

    The place of an example is its number in the pool, all rows one after the other.

    Args:
        classes: ``[T, ways]``, the class of the pool behind each label.
        support: ``[T, ways * shots]``, the places of the support examples, class by class.
        query: ``[T, ways * queries]``, the places of the query examples.
        query_labels: ``[T, ways * queries]``.
    """

    classes: Ints
    support: Ints
    query: Ints
    query_labels: Ints

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, tasks: slice) -> Draw:
        """The episodes of a slice, as views."""
        return Draw(
            self.classes[tasks], self.support[tasks], self.query[tasks], self.query_labels[tasks]
        )


class _Drawn(Protocol):
    """What was drawn for ``T`` episodes."""

    def __len__(self) -> int: ...

    def __getitem__(self, tasks: slice, /) -> Self: ...


D = TypeVar("D", bound=_Drawn)


class _AheadSampler(Sampler, Generic[D]):
    """Draws more episodes than are asked for, and shows them when they are.

    Nothing that it gives shares memory with what is kept: what an algorithm does to a batch must not reach
    the episodes that are drawn ahead.
    """

    def __init__(self, protocol: NWayKShot, key: int, device: torch.device | str) -> None:
        super().__init__(protocol, key, device)
        self._ahead: D | None = None
        self._ahead_start = 0

    @abstractmethod
    def draw(self, indices: Tensor) -> D:
        """What the episodes with these indices, int64 ``[T]``, are made from."""

    @abstractmethod
    def _show(self, drawn: D) -> TaskBatch:
        """The episodes that were drawn."""

    def tasks(self, indices: Tensor) -> TaskBatch:
        """The episodes with these indices; see :class:`Sampler`."""
        return self._show(self.draw(indices))

    def range(self, start: int, stop: int) -> TaskBatch:
        """The episodes ``start`` to ``stop - 1``; fastest where each call begins where the last one ended."""
        first = start - self._ahead_start
        if self._ahead is None or first < 0 or stop - self._ahead_start > len(self._ahead):
            ahead = max(stop, start + AHEAD_EXAMPLES // self.protocol.examples)
            self._ahead, self._ahead_start, first = self.draw(torch.arange(start, ahead)), start, 0
        return self._show(self._ahead[first : first + stop - start])


class ClassSampler(_AheadSampler[Draw]):
    """Draws N-way K-shot episodes from a pool of labelled examples.

    One index computation and one gather for a whole batch of episodes; no loop over examples. The indices are
    computed on the CPU for every device: to send them to a GPU takes less time than the hundred small kernels
    that would compute them there. Queries come in a random order, so that a method that sees them all at once
    learns nothing from their places.

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
        self._images = Gatherer(pool.images.to(self.device).flatten(0, 1).flatten(1))
        self._input_shape = pool.images.shape[2:]
        labels = torch.arange(protocol.ways, device=self.device)
        self._support_labels = labels.repeat_interleave(protocol.shots)

    def draw(self, indices: Tensor, *, look: int = 2) -> Draw:
        """The classes and examples of these episodes.

        Args:
            indices: int64 ``[T]``.
            look: how many times as many random classes as ways to look at for different ones; it doubles
                where they are too few.
        """
        n, k, q, have = (
            self.protocol.ways,
            self.protocol.shots,
            self.protocol.queries,
            self.pool.examples,
        )
        bits = random_bits(self.key, indices.cpu().numpy(), n * have + n + look * n)
        example, variant, which = np.split(bits, [n * have, n * have + n], axis=1)
        classes = first_distinct(below(which, self.pool.classes), n)
        if classes is None:
            return self.draw(indices, look=2 * look)
        rows = classes * self.pool.variants + below(variant, self.pool.variants)
        # Examples are shuffled by the upper halves of their bits, queries by the lower halves of the same.
        places = rows[..., None] * have + shuffled(example.reshape(-1, n, have), have)
        order = shuffled(example[:, : n * q] << 32, n * q)
        support, query = (
            places[..., :k].reshape(-1, n * k),
            places[..., k : k + q].reshape(-1, n * q),
        )
        return Draw(classes, support, np.take_along_axis(query, order, axis=1), order // q)

    def fingerprint(self, indices: Tensor) -> bytes:
        """The drawn indices as bytes; see :class:`Sampler`."""
        draw = self.draw(indices)
        drawn = np.concatenate([draw.support, draw.query, draw.query_labels], axis=1)
        return drawn.astype("<i8").tobytes()

    def source_digest(self) -> str:
        """The sha256 of the pool."""
        return self.pool.digest

    def _show(self, drawn: Draw) -> TaskBatch:
        places = np.concatenate([drawn.support, drawn.query], axis=None)
        x, first_query = self._images(self._send(places)), drawn.support.size
        return TaskBatch(
            x[:first_query].view(*drawn.support.shape, *self._input_shape),
            self._support_labels.repeat(len(drawn), 1),
            x[first_query:].view(*drawn.query.shape, *self._input_shape),
            self._send(drawn.query_labels.copy()),
            self.protocol.ways,
            self._send(drawn.classes.copy()),
        )

    def _send(self, indices: Ints) -> Tensor:
        tensor = torch.from_numpy(indices)
        return tensor if self.device.type == "cpu" else tensor.to(self.device, non_blocking=True)


class FamilySampler(_AheadSampler[Tensor]):
    """Draws K-shot regression tasks from a family of functions.

    Random numbers and function values are computed in float64 on the CPU and rounded once, so that every
    device is given the same bits.

    Raises:
        ProtocolError: the protocol is one for classification.
    """

    at_once = AHEAD_EXAMPLES

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

    def draw(self, indices: Tensor) -> Tensor:
        """Uniform float64 numbers ``[T, parameters + examples * input_size]``."""
        points = self.protocol.examples * self.family.input_size
        return uniform(random_bits(self.key, indices.cpu(), self.family.parameters + points))

    def _show(self, drawn: Tensor) -> TaskBatch:
        k, p, shape = self.protocol.shots, self.family.parameters, (-1, self.family.input_size)
        values = self.family.evaluate(drawn[:, :p], drawn[:, p:].unflatten(1, shape))
        x, y = (part.to(self.device, torch.float32) for part in values)
        classes = torch.empty(len(drawn), 0, dtype=torch.int64, device=self.device)
        return TaskBatch(x[:, :k], y[:, :k], x[:, k:], y[:, k:], 0, classes)

    def fingerprint(self, indices: Tensor) -> bytes:
        """The drawn numbers as bytes; see :class:`Sampler`."""
        return self.draw(indices).numpy().astype("<f8").tobytes()

    def source_digest(self) -> str:
        """What stands for the family's definition."""
        return self.family.digest
