"""Redirection of stdout to stderr, so that output of plugins cannot corrupt a JSON document."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Redirect stdout to stderr for Python code, C code and the file descriptor alike."""
    _flush()
    try:
        saved = os.dup(1)
    except OSError:  # stdout is closed
        saved = None
    try:
        if saved is not None:
            os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _flush()
        if saved is not None:
            os.dup2(saved, 1)
            os.close(saved)


def close_stdout() -> None:
    """Redirect stdout to stderr until the process ends."""
    _flush()
    with contextlib.suppress(OSError):
        os.dup2(2, 1)


def _flush() -> None:
    """Flush the buffers of Python and of the C library to the current stdout."""
    for stream in (sys.stdout, sys.__stdout__):
        with contextlib.suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
    with contextlib.suppress(OSError, TypeError, AttributeError):  # not available on Windows
        ctypes.CDLL(None).fflush(None)
