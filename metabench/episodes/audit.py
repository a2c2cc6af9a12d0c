"""The leakage audit: were classes of meta-test seen in meta-training?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from metabench.errors import LeakageError


class LeakageAudit:
    """Keeps count of the training classes really drawn, and holds them against the test classes really drawn.

    Args:
        train_origins: what each class of the training pool was made from
            (:attr:`metabench.datasets.ClassPool.origins`).
        device: where the drawn classes are.
    """

    def __init__(self, train_origins: Sequence[str], device: torch.device | str = "cpu") -> None:
        self._origins = tuple(train_origins)
        self._seen = torch.zeros(len(self._origins), dtype=torch.bool, device=device)

    def saw(self, classes: Tensor) -> None:
        """Note the training classes of some episodes, int64 of any shape."""
        self._seen[classes.flatten()] = True

    @property
    def seen(self) -> set[str]:
        """The origins of the training classes drawn so far."""
        return {self._origins[i] for i in self._seen.nonzero().flatten().tolist()}

    def check(self, drawn: Sequence[str], *, split: str) -> None:
        """Raise LeakageError where a drawn class of a held-out split was seen in training.

        Args:
            drawn: the origins of the classes that the held-out episodes really show.
            split: the name of that split, for the message.
        """
        leaked = sorted(self.seen & set(drawn))
        if leaked:
            raise LeakageError(
                f"{len(leaked)} of the {len(set(drawn))} classes in the {split} episodes were seen in "
                f"meta-training, '{leaked[0]}' among them.",
                hint="The splits of the data set must be disjoint; the scores of this cell mean nothing.",
            )

    def state_dict(self) -> dict[str, Tensor]:
        """What was seen, for a checkpoint."""
        return {"seen": self._seen}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up what a checkpoint saw."""
        self._seen.copy_(state["seen"])
