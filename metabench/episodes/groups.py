"""Episodes whose classes all come from one group, such as the characters of one alphabet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from metabench.episodes.protocol import NWayKShot
from metabench.episodes.sampler import ClassSampler, Draw, Pool
from metabench.errors import ProtocolError
from metabench.runtime.counter_rng import Ints, below, first_distinct, make_key, random_bits

_HALF = 31
"""Bits of a random integer that is scaled to limits which differ from row to row."""


class GroupedPool(Pool, Protocol):
    """A pool that knows the group of each class, and what each was made from."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The group of each class."""

    @property
    def origins(self) -> tuple[str, ...]:
        """What each class was made from: those of one origin are never in one episode."""


class GroupSampler(ClassSampler):
    """Draws the episodes of a :class:`ClassSampler` with all classes from one group.

    Episode ``i`` is paired with episode ``i`` of a :class:`ClassSampler` with the same key: the class behind
    label 0 stays with its examples, and the others give way to classes of its group, with the examples of
    the same numbers (in Omniglot: by the same hands). Where its group has too few classes, another class
    takes its place. Two classes of one origin, such as two rotations of a character, are never together.

    Args:
        pool: the labelled examples.
        protocol: the shape of an episode.
        key: what sets this stream of episodes apart.
        device: where the episodes are made.
        where: the pool, in words, for messages.

    Raises:
        ProtocolError: no group has enough classes, or the pool cannot give such episodes.
    """

    def __init__(
        self,
        pool: GroupedPool,
        protocol: NWayKShot,
        key: int,
        device: torch.device | str = "cpu",
        *,
        where: str = "the pool",
    ) -> None:
        self._tables = _Tables.of(pool.groups, pool.origins)
        self._eligible = np.flatnonzero(self._tables.sizes[self._tables.group] >= protocol.ways)
        if not len(self._eligible):
            raise ProtocolError(
                f"no group of {where} has {protocol.ways} classes of different origin; "
                f"the largest has {self._tables.sizes.max()}.",
                hint="Ask for fewer ways, or draw from all groups.",
            )
        super().__init__(pool, protocol, key, device, where=where)

    def draw(self, indices: Tensor, *, look: int = 2) -> Draw:
        """The classes and examples of these episodes; see :class:`ClassSampler`."""
        mixed = super().draw(indices, look=look)
        table, n = self._tables, self.protocol.ways
        bits = random_bits(make_key("one group", self.key), indices.cpu().numpy(), 1 + n + look * n)
        other, turn, pick = np.split(bits, [1, 1 + n], axis=1)
        own = mixed.classes[:, 0]
        instead = self._eligible[below(other, len(self._eligible))[:, 0]]
        anchor = np.where(table.sizes[table.group[own]] >= n, own, instead)
        group = table.group[anchor]
        picks = below(pick, 1 << _HALF) * table.sizes[group][:, None] >> _HALF
        members = first_distinct(np.concatenate([table.member[anchor][:, None], picks], axis=1), n)
        if members is None:
            return self.draw(indices, look=2 * look)
        origins = table.origins[group[:, None], members]
        turns = below(turn, 1 << _HALF) * table.turns[origins] >> _HALF
        classes = table.classes[origins, turns]
        classes[:, 0] = anchor
        moved = (classes - mixed.classes) * self.pool.variants * self.pool.examples
        return Draw(
            classes,
            mixed.support + np.repeat(moved, self.protocol.shots, axis=1),
            mixed.query + np.take_along_axis(moved, mixed.query_labels, axis=1),
            mixed.query_labels,
        )


@dataclass(frozen=True, eq=False)
class _Tables:
    """Who belongs where, as arrays; rows that are shorter than the longest end in zeros.

    Attributes:
        group: ``[classes]``, the number of each class's group.
        member: ``[classes]``, the place of each class's origin in its group.
        sizes: ``[groups]``, how many origins a group has.
        origins: ``[groups, largest]``, the numbers of a group's origins.
        turns: ``[origins]``, how many classes were made from an origin.
        classes: ``[origins, most]``, those classes.
    """

    group: Ints
    member: Ints
    sizes: Ints
    origins: Ints
    turns: Ints
    classes: Ints

    @classmethod
    def of(cls, groups: Sequence[str], origins: Sequence[str]) -> _Tables:
        by_origin: dict[tuple[str, str], list[int]] = {}
        for number, place in enumerate(zip(groups, origins, strict=True)):
            by_origin.setdefault(place, []).append(number)
        by_group: dict[str, list[int]] = {}
        group, member = np.zeros((2, len(groups)), dtype=np.int64)
        for number, ((name, _), classes) in enumerate(by_origin.items()):
            own = by_group.setdefault(name, [])
            group[classes], member[classes] = list(by_group).index(name), len(own)
            own.append(number)
        sizes, of_group = _padded(list(by_group.values()))
        turns, of_origin = _padded(list(by_origin.values()))
        return cls(group, member, sizes, of_group, turns, of_origin)


def _padded(rows: list[list[int]]) -> tuple[Ints, Ints]:
    """The lengths of some rows, and the rows filled up with zeros."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    table = np.zeros((len(rows), lengths.max()), dtype=np.int64)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return lengths, table
