"""K-shot regression tasks from a family of functions."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from metabench.episodes.protocol import NWayKShot
from metabench.episodes.sampler import PREFETCH_EXAMPLES, PrefetchingSampler
from metabench.episodes.types import TaskBatch
from metabench.errors import ProtocolError
from metabench.runtime.counter_rng import random_bits, uniform


class Family(Protocol):
    """The attributes of :class:`metabench.datasets.TaskFamily` that drawing needs."""

    @property
    def parameters(self) -> int:
        """Random numbers per task."""

    @property
    def input_size(self) -> int:
        """Random numbers per input."""

    @property
    def digest(self) -> str:
        """Identifies the family's definition."""

    def evaluate(self, parameters: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map uniform float64 ``[T, parameters]`` and ``[T, B, input_size]`` to ``x``, ``y``."""


class FamilySampler(PrefetchingSampler[Tensor]):
    """Draws K-shot regression tasks from a family of functions.

    Args:
        family: Family of functions.
        protocol: Shape of the episodes.
        key: Identifies this stream of episodes.
        device: Device of the episodes.
        source: Description of the family for error messages.

    Raises:
        ProtocolError: If the protocol is one for classification.
    """

    # Function values are cheap: here a larger chunk than for images still fits the cache.
    chunk_examples = PREFETCH_EXAMPLES

    def __init__(
        self,
        family: Family,
        protocol: NWayKShot,
        key: int,
        device: torch.device | str = "cpu",
        *,
        source: str = "the family",
    ) -> None:
        super().__init__(protocol, key, device)
        if protocol.ways:
            raise ProtocolError(
                f"{source} is a regression family, and {protocol.ways}-way episodes are for "
                "classes.",
                hint="Give the protocol 0 ways.",
            )
        self.family = family

    def draw(self, indices: Tensor) -> Tensor:
        """Draw uniform float64 numbers, ``[T, parameters + examples * input_size]``."""
        count = self.family.parameters + self.protocol.examples * self.family.input_size
        return uniform(random_bits(self.key, indices.cpu(), count))

    def assemble(self, drawn: Tensor) -> TaskBatch:
        """Evaluate the drawn functions; see :class:`PrefetchingSampler`."""
        k, p, shape = self.protocol.shots, self.family.parameters, (-1, self.family.input_size)
        values = self.family.evaluate(drawn[:, :p], drawn[:, p:].unflatten(1, shape))
        # Computed in float64 on the CPU and rounded once: every device gets the same bits.
        x, y = (value.to(self.device, torch.float32) for value in values)
        classes = torch.empty(len(drawn), 0, dtype=torch.int64, device=self.device)
        return TaskBatch(x[:, :k], y[:, :k], x[:, k:], y[:, k:], 0, classes)

    def fingerprint(self, indices: Tensor) -> bytes:
        """Returns the drawn numbers as bytes; see :class:`Sampler`."""
        return self.draw(indices).numpy().astype("<f8").tobytes()

    def source_digest(self) -> str:
        """Returns the digest of the family's definition."""
        return self.family.digest
