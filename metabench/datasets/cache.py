"""A cache of arrays that take seconds to compute: one file each, verified when it is read."""

from __future__ import annotations

import contextlib
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metabench.utils.files import atomic_path

_MAGIC = b"metabench array 1\n"
_DIGEST_BYTES = 32


def load(path: Path) -> NDArray[Any] | None:
    """Load an array that :func:`save` wrote.

    Args:
        path: The file.

    Returns:
        The array; ``None`` if the file is missing, unreadable or damaged, so that the array has to
        be computed again.
    """
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    # A checksum of the content: a file cut off by a full disk must not be loaded.
    header_bytes = len(_MAGIC) + _DIGEST_BYTES
    header, body = raw[:header_bytes], memoryview(raw)[header_bytes:]
    if header != _MAGIC + hashlib.sha256(body).digest():
        return None
    array: NDArray[Any] = np.load(io.BytesIO(body), allow_pickle=False)
    return array


def save(path: Path, array: NDArray[Any]) -> None:
    """Save an array atomically; do nothing if the file cannot be written.

    Args:
        path: The file; its folder is created.
        array: Any shape, any dtype but object.
    """
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    body = buffer.getvalue()
    # A cache is optional: a read-only or full disk must not fail a run.
    with contextlib.suppress(OSError), atomic_path(path) as temporary:
        temporary.write_bytes(_MAGIC + hashlib.sha256(body).digest() + body)
