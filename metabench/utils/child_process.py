"""Child processes that are forked: how they end, and what they may see of their parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


def run_and_exit(work: Callable[[], object]) -> NoReturn:
    """Run a function and end this process, without the exit handlers of the parent.

    The exit code is 0, that of a SystemExit, or 1 after another exception.
    """
    code = 1
    try:
        work()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def exit_like(status: int) -> NoReturn:
    """End this process as a child of it ended.

    Args:
        status: The status of the child, as ``os.waitpid`` returns it.
    """
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        # The default action, so that the process ends by the signal and not by a handler.
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends (Linux).

    Args:
        parent: The process id of the parent.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)


def hide_memory() -> None:
    """Keep other processes of this user from the memory and the open files of this one (Linux).

    The superuser is not affected.
    """
    _prctl(_PR_SET_DUMPABLE, 0)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")
