"""The state of the global random number generators of PyTorch, NumPy and Python."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch

_NumpyState = tuple[str, "np.ndarray[Any, Any]", int, int, float]


def seed_everything(key: int) -> None:
    """Seed all generators with a 64-bit key."""
    torch.manual_seed(key)
    random.seed(key)
    np.random.seed(key & 0xFFFF_FFFF)  # NumPy's global generator takes 32 bits


def random_state() -> dict[str, Any]:
    """Returns the state of all generators, in types that ``torch.load`` reads without pickle."""
    name, keys, position, has_gauss, gauss = cast(_NumpyState, np.random.get_state())
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [
            name,
            torch.from_numpy(keys.astype(np.int64)),  # torch has no uint32 in older versions
            int(position),
            int(has_gauss),
            float(gauss),
        ],
        "python": random.getstate(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Restore a state that :func:`random_state` returned."""
    # A checkpoint that was loaded with `map_location` holds these tensors on that device.
    torch.set_rng_state(state["torch"].cpu())
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), position, has_gauss, gauss))
    random.setstate(state["python"])
    if "cuda" in state:
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])


@contextlib.contextmanager
def preserved_random_state() -> Iterator[None]:
    """Restore the state of all generators when the block ends."""
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)
