"""Find tensors created in a stretch of code that are still alive."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveTensors(TorchDispatchMode):
    """Records the storage of every tensor created inside, and counts later what is still alive.

    It includes tensors that only PyTorch's graph holds, which Python's garbage collector does not
    see.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._created: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation and record the storages that it creates."""
        kwargs = kwargs or {}
        before = {storage._cdata for storage in _storages((args, kwargs))}
        out = func(*args, **kwargs)
        for storage in _storages(out):
            if storage._cdata not in before:  # a view or an in-place operation creates none
                self._created[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        return out

    def bytes(self) -> int:
        """Returns the bytes of the recorded storages that are still alive."""
        self._created = {
            key: created for key, created in self._created.items() if not created[0].expired()
        }
        return sum(size for _, size in self._created.values())


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    """Returns the storages of all tensors in nested containers."""
    # Sparse tensors have no single storage.
    tensors = (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))
    return [tensor.untyped_storage() for tensor in tensors if tensor.layout == torch.strided]
