"""The checkpoint of a meta-training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from metabench.utils.files import atomic_path


@dataclass(frozen=True)
class Checkpoint:
    """A file with a state of meta-training.

    Args:
        path: The file; ``None`` means that nothing is written or read.
        identity: Facts that must agree before a state is used: the cell's key, the definition of
            the benchmark, and the digest of the code.
    """

    path: Path | None
    identity: Mapping[str, str]

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace the file; a process that is killed meanwhile leaves the old one intact."""
        if self.path is None:
            return
        with atomic_path(self.path) as path:
            torch.save({**state, **self.identity}, path)

    def read(self, device: torch.device) -> dict[str, Any] | None:
        """Returns the state, or ``None`` if the file is missing, damaged or of another identity."""
        if self.path is None or not self.path.exists():
            return None
        try:
            # weights_only: unpickling a foreign file could run any code.
            state = torch.load(self.path, map_location=device, weights_only=True)
        except Exception:  # torch raises errors of many types for truncated and foreign files
            return None
        if not isinstance(state, dict):
            return None
        same = all(state.get(name) == value for name, value in self.identity.items())
        return state if same else None
