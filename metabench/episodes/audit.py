"""Leakage audit: detects meta-test classes that were drawn in meta-training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from metabench.errors import LeakageError


class LeakageAudit:
    """Records the training classes that were drawn and compares held-out classes with them.

    Args:
        train_origins: Origin of each class of the training pool
            (:attr:`metabench.datasets.ClassPool.origins`).
        device: Device of the class indices that :meth:`add` takes.
    """

    def __init__(self, train_origins: Sequence[str], device: torch.device | str = "cpu") -> None:
        self._origins = tuple(train_origins)
        # On the device of the episodes: recording a batch must not wait for a GPU.
        self._seen = torch.zeros(len(self._origins), dtype=torch.bool, device=device)

    def add(self, classes: Tensor) -> None:
        """Record the training classes of drawn episodes, int64 of any shape."""
        self._seen[classes.flatten()] = True

    @property
    def seen(self) -> set[str]:
        """Origins of the training classes drawn so far."""
        return {self._origins[i] for i in self._seen.nonzero().flatten().tolist()}

    def check(self, drawn: Sequence[str], *, split: str) -> None:
        """Check that no class of the held-out episodes was drawn in training.

        Args:
            drawn: Origins of the classes in the held-out episodes.
            split: Name of their split, for the message.

        Raises:
            LeakageError: If a class was drawn in both.
        """
        leaked = sorted(self.seen & set(drawn))
        if leaked:
            raise LeakageError(
                f"{len(leaked)} of the {len(set(drawn))} classes in the {split} episodes were "
                f"seen in meta-training, such as '{leaked[0]}'.",
                hint="Make the splits of the data set disjoint; the scores of this cell are "
                "invalid.",
            )

    def state_dict(self) -> dict[str, Tensor]:
        """Returns what was drawn, for a checkpoint."""
        return {"seen": self._seen}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what was drawn from a checkpoint."""
        self._seen.copy_(state["seen"])
