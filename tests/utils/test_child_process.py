"""Child processes: how they end, and what they hide."""

import signal
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="calls prctl")

IMPORTS = "import os, sys; from metabench.utils.child_process import *"


def code_of(program: str) -> int:
    return subprocess.run([sys.executable, "-c", f"{IMPORTS}\n{program}"], check=False).returncode


@pytest.mark.parametrize(
    ("work", "code"),
    [
        ("lambda: None", 0),
        ("lambda: sys.exit(7)", 7),
        ("lambda: sys.exit('a message')", 1),
        ("lambda: 1 / 0", 1),
    ],
)
def test_the_exit_code_says_how_the_work_ended(work: str, code: int) -> None:
    assert code_of(f"import atexit; atexit.register(os._exit, 99); run_and_exit({work})") == code


@pytest.mark.parametrize("how", [3, 0, -signal.SIGKILL, -signal.SIGTERM])
def test_a_process_can_end_as_its_child_did(how: Any) -> None:
    ending = f"os._exit({how})" if how >= 0 else f"os.kill(os.getpid(), {-how})"
    program = f"""
pid = os.fork()
if pid == 0:
    {ending}
exit_like(os.waitpid(pid, 0)[1])
"""
    assert code_of(program) == how


def test_hidden_memory_is_not_dumpable() -> None:
    get = "import ctypes; os._exit(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE
    assert code_of(get) == 1
    assert code_of(f"hide_memory(); {get}") == 0


def test_an_orphan_ends_at_once() -> None:
    assert code_of("end_with_parent(os.getppid() + 1)") == 1
