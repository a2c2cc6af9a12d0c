"""Arrays that take seconds to make, kept between runs: one file each, checked when it is read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"metabench array 1\n"
_DIGEST = 32


def load(path: Path) -> NDArray[Any] | None:
    """The array that :func:`save` wrote.

    Args:
        path: the file.

    Returns:
        The array, or ``None`` where there is no such file, or it cannot be read, or its checksum is wrong:
        in each case the array has to be made again.
    """
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    head, body = raw[: len(_MAGIC) + _DIGEST], memoryview(raw)[len(_MAGIC) + _DIGEST :]
    if head != _MAGIC + hashlib.sha256(body).digest():
        return None
    array: NDArray[Any] = np.load(io.BytesIO(body), allow_pickle=False)
    return array


def save(path: Path, array: NDArray[Any]) -> None:
    """Keep an array; readers see the whole file or none. Where it cannot be written, nothing is kept.

    Args:
        path: the file; its folder is made.
        array: of any shape and any dtype but object.
    """
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    body = buffer.getvalue()
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(_MAGIC + hashlib.sha256(body).digest() + body)
        os.replace(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
