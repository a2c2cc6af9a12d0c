"""Keep stdout clean: it may be a JSON document, so what a plugin prints goes to stderr."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send to stderr whatever is written to stdout meanwhile: by Python, by C, or to the descriptor."""
    _flush()
    try:
        kept = os.dup(1)
    except OSError:  # stdout is closed
        kept = None
    try:
        if kept is not None:
            os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _flush()
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)


def close_stdout() -> None:
    """Send to stderr whatever is still written to stdout, such as by what a plugin runs at exit."""
    _flush()
    with contextlib.suppress(OSError):
        os.dup2(2, 1)


def _flush() -> None:
    """Empty the buffers of Python and of C into where stdout leads now."""
    for stream in (sys.stdout, sys.__stdout__):
        with contextlib.suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
    with contextlib.suppress(OSError, TypeError, AttributeError):  # Windows has no such library
        ctypes.CDLL(None).fflush(None)
