import subprocess
import sys

import pytest

from metabench.runtime.memory import keep_freed_memory, peak_process_mb


def test_peak_memory_grows_with_what_is_taken() -> None:
    before = peak_process_mb()
    block = bytearray(64 << 20)
    block[::4096] = b"x" * len(block[::4096])
    assert peak_process_mb() >= before
    assert peak_process_mb() > 64


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the peak is not handed on to a child"
)
def test_peak_memory_of_a_worker_is_not_that_of_its_parent() -> None:
    block = bytearray(512 << 20)
    block[::4096] = b"x" * len(block[::4096])
    code = "from metabench.runtime.memory import peak_process_mb; print(peak_process_mb())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 256


def test_the_c_library_is_told_or_left_alone() -> None:
    assert keep_freed_memory() in (True, False)
