"""N-way K-shot episodes from a pool of labelled examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from metabench.episodes.images import Gatherer
from metabench.episodes.protocol import NWayKShot
from metabench.episodes.sampler import PrefetchingSampler
from metabench.episodes.types import TaskBatch
from metabench.runtime.counter_rng import Ints, below, first_distinct, random_bits, shuffled


class Pool(Protocol):
    """The attributes of :class:`metabench.datasets.ClassPool` that drawing needs."""

    @property
    def images(self) -> Tensor:
        """uint8 ``[classes * variants, examples, *input]``."""

    @property
    def variants(self) -> int:
        """Rows per class."""

    @property
    def classes(self) -> int:
        """Number of classes."""

    @property
    def examples(self) -> int:
        """Examples per class."""

    @property
    def digest(self) -> str:
        """sha256 of the contents."""


@dataclass(frozen=True, eq=False)
class Draw:
    """Indices drawn for ``T`` episodes.

    An example's index is its number in the pool when all rows are flattened.

    Args:
        classes: Class of the pool behind each label, ``[T, ways]``.
        support: Indices of the support examples, class by class, ``[T, ways * shots]``.
        query: Indices of the query examples, ``[T, ways * queries]``.
        query_labels: Labels of the query examples, ``[T, ways * queries]``.
    """

    classes: Ints
    support: Ints
    query: Ints
    query_labels: Ints

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, tasks: slice) -> Draw:
        """Returns the episodes of a slice, as views."""
        return Draw(
            self.classes[tasks], self.support[tasks], self.query[tasks], self.query_labels[tasks]
        )


class ClassSampler(PrefetchingSampler[Draw]):
    """Draws N-way K-shot episodes from a pool of labelled examples.

    A batch of episodes is one index computation and one gather; no Python loop runs over examples.

    Args:
        pool: Labelled examples.
        protocol: Shape of the episodes.
        key: Identifies this stream of episodes.
        device: Device of the episodes.
        source: Description of the pool for error messages.

    Raises:
        ProtocolError: If the pool has too few classes or examples for the protocol.
    """

    def __init__(
        self,
        pool: Pool,
        protocol: NWayKShot,
        key: int,
        device: torch.device | str = "cpu",
        *,
        source: str = "the pool",
    ) -> None:
        super().__init__(protocol, key, device)
        protocol.check_pool(pool.classes, pool.examples, source=source)
        self.pool = pool
        # One row per example, whatever its shape: an episode is a gather of rows.
        self._images = Gatherer(pool.images.to(self.device).flatten(0, 1).flatten(1))
        self._input_shape = pool.images.shape[2:]
        labels = torch.arange(protocol.ways, device=self.device)
        self._support_labels = labels.repeat_interleave(protocol.shots)

    def draw(self, indices: Tensor, *, candidates: int = 2) -> Draw:
        """Draw the classes and examples of episodes.

        Args:
            indices: int64 ``[T]``.
            candidates: Random classes to draw per way, the first distinct ones of which are taken;
                doubled where an episode finds too few.
        """
        n, k, q = self.protocol.ways, self.protocol.shots, self.protocol.queries
        size = self.pool.examples
        # Indices are computed on the CPU for every device: sending them to a GPU takes less time
        # than the hundred small kernels that would compute them there.
        bits = random_bits(self.key, indices.cpu().numpy(), n * size + n + candidates * n)
        example, variant, candidate = np.split(bits, [n * size, n * size + n], axis=1)
        classes = first_distinct(below(candidate, self.pool.classes), n)
        if classes is None:
            return self.draw(indices, candidates=2 * candidates)
        rows = classes * self.pool.variants + below(variant, self.pool.variants)
        # Examples are shuffled by the upper halves of their bits, queries by the lower halves of
        # the same bits: the two orders are independent and cost one draw.
        drawn = rows[..., None] * size + shuffled(example.reshape(-1, n, size), size)
        # Queries come in random order, so that a transductive method learns nothing from it.
        order = shuffled(example[:, : n * q] << 32, n * q)
        support = drawn[..., :k].reshape(-1, n * k)
        query = drawn[..., k : k + q].reshape(-1, n * q)
        return Draw(classes, support, np.take_along_axis(query, order, axis=1), order // q)

    def fingerprint(self, indices: Tensor) -> bytes:
        """Returns the drawn indices as bytes; see :class:`Sampler`."""
        draw = self.draw(indices)
        drawn = np.concatenate([draw.support, draw.query, draw.query_labels], axis=1)
        # Little-endian on every machine, so that digests agree.
        return drawn.astype("<i8").tobytes()

    def source_digest(self) -> str:
        """Returns the sha256 of the pool."""
        return self.pool.digest

    def assemble(self, drawn: Draw) -> TaskBatch:
        """Gather the drawn examples; see :class:`PrefetchingSampler`."""
        indices = np.concatenate([drawn.support, drawn.query], axis=None)
        x, first_query = self._images(self._to_device(indices)), drawn.support.size
        return TaskBatch(
            x[:first_query].view(*drawn.support.shape, *self._input_shape),
            self._support_labels.repeat(len(drawn), 1),
            x[first_query:].view(*drawn.query.shape, *self._input_shape),
            self._to_device(drawn.query_labels.copy()),
            self.protocol.ways,
            self._to_device(drawn.classes.copy()),
        )

    def _to_device(self, indices: Ints) -> Tensor:
        tensor = torch.from_numpy(indices)
        return tensor if self.device.type == "cpu" else tensor.to(self.device, non_blocking=True)
