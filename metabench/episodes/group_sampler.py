"""Episodes whose classes all come from one group, such as the characters of one alphabet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from metabench.episodes.class_sampler import ClassSampler, Draw, Pool
from metabench.episodes.protocol import NWayKShot
from metabench.errors import ProtocolError
from metabench.runtime.counter_rng import Ints, below, first_distinct, make_key, random_bits

# :func:`below` takes one limit; here each row has its own, so 31 random bits are scaled instead.
_BITS = 31


class GroupedPool(Pool, Protocol):
    """A pool that knows the group and the origin of each class."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Group of each class."""

    @property
    def origins(self) -> tuple[str, ...]:
        """What each class was made from; classes of one origin never share an episode."""


class GroupSampler(ClassSampler):
    """Draws the episodes of a :class:`ClassSampler` with all classes from one group.

    Episode ``i`` is paired with episode ``i`` of a :class:`ClassSampler` with the same key. The
    class of label 0 keeps its examples; the other classes are replaced by classes of its group,
    with the examples of the same numbers (in Omniglot: by the same drawers). If its group has too
    few classes, it is replaced by a class of a larger group. Classes of one origin, such as two
    rotations of a character, never share an episode.

    Args:
        pool: Labelled examples.
        protocol: Shape of the episodes.
        key: Identifies this stream of episodes.
        device: Device of the episodes.
        source: Description of the pool for error messages.

    Raises:
        ProtocolError: If no group has enough classes, or the pool is too small for the protocol.
    """

    def __init__(
        self,
        pool: GroupedPool,
        protocol: NWayKShot,
        key: int,
        device: torch.device | str = "cpu",
        *,
        source: str = "the pool",
    ) -> None:
        self._index = _GroupIndex.of(pool.groups, pool.origins)
        self._eligible = np.flatnonzero(self._index.sizes[self._index.group] >= protocol.ways)
        if not len(self._eligible):
            raise ProtocolError(
                f"no group of {source} has {protocol.ways} classes of different origin; "
                f"the largest has {self._index.sizes.max()}.",
                hint="Ask for fewer ways, or draw from all groups.",
            )
        super().__init__(pool, protocol, key, device, source=source)

    def draw(self, indices: Tensor, *, candidates: int = 2) -> Draw:
        """Draw the classes and examples of episodes; see :class:`ClassSampler`."""
        mixed = super().draw(indices, candidates=candidates)
        index, n = self._index, self.protocol.ways
        # A key of its own: the bits of the mixed episode are used up by its examples.
        bits = random_bits(
            make_key("one group", self.key), indices.cpu().numpy(), 1 + n + candidates * n
        )
        substitute, member, candidate = np.split(bits, [1, 1 + n], axis=1)
        own = mixed.classes[:, 0]
        other = self._eligible[below(substitute, len(self._eligible))[:, 0]]
        anchor = np.where(index.sizes[index.group[own]] >= n, own, other)
        group = index.group[anchor]
        origin_candidates = below(candidate, 1 << _BITS) * index.sizes[group][:, None] >> _BITS
        chosen = first_distinct(
            np.concatenate([index.position[anchor][:, None], origin_candidates], axis=1), n
        )
        if chosen is None:
            return self.draw(indices, candidates=2 * candidates)
        origins = index.origins[group[:, None], chosen]
        classes = index.classes[
            origins, below(member, 1 << _BITS) * index.members[origins] >> _BITS
        ]
        classes[:, 0] = anchor
        # An example keeps its number within its class: its index moves by whole classes.
        offset = (classes - mixed.classes) * self.pool.variants * self.pool.examples
        return Draw(
            classes,
            mixed.support + np.repeat(offset, self.protocol.shots, axis=1),
            mixed.query + np.take_along_axis(offset, mixed.query_labels, axis=1),
            mixed.query_labels,
        )


@dataclass(frozen=True, eq=False)
class _GroupIndex:
    """Groups, origins and classes of a pool as arrays, padded with zeros.

    Attributes:
        group: Group number of each class, ``[classes]``.
        position: Position of each class's origin in its group, ``[classes]``.
        sizes: Origins per group, ``[groups]``.
        origins: Origin numbers of each group, ``[groups, largest]``.
        members: Classes per origin, ``[origins]``.
        classes: Classes of each origin, ``[origins, most]``.
    """

    group: Ints
    position: Ints
    sizes: Ints
    origins: Ints
    members: Ints
    classes: Ints

    @classmethod
    def of(cls, groups: Sequence[str], origins: Sequence[str]) -> _GroupIndex:
        by_origin: dict[tuple[str, str], list[int]] = {}
        for number, pair in enumerate(zip(groups, origins, strict=True)):
            by_origin.setdefault(pair, []).append(number)
        by_group: dict[str, list[int]] = {}
        group, position = np.zeros((2, len(groups)), dtype=np.int64)
        for number, ((name, _), classes) in enumerate(by_origin.items()):
            siblings = by_group.setdefault(name, [])
            group[classes], position[classes] = list(by_group).index(name), len(siblings)
            siblings.append(number)
        sizes, of_group = _padded(list(by_group.values()))
        members, of_origin = _padded(list(by_origin.values()))
        return cls(group, position, sizes, of_group, members, of_origin)


def _padded(rows: list[list[int]]) -> tuple[Ints, Ints]:
    """Returns the length of each row, and the rows padded with zeros to the longest."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    table = np.zeros((len(rows), lengths.max()), dtype=np.int64)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return lengths, table
