"""The peak memory of a process."""

import subprocess
import sys
import types

import pytest

from metabench.runtime.memory import keep_freed_memory, peak_process_mb


def test_peak_memory_includes_what_was_allocated() -> None:
    before = peak_process_mb()
    block = bytearray(64 << 20)
    block[::4096] = b"x" * len(block[::4096])
    assert peak_process_mb() >= before
    assert peak_process_mb() > 64


@pytest.mark.skipif(
    sys.platform != "linux", reason="on other systems a child does not inherit the peak"
)
def test_peak_memory_of_a_worker_is_not_that_of_its_parent() -> None:
    block = bytearray(512 << 20)
    block[::4096] = b"x" * len(block[::4096])
    code = "from metabench.runtime.memory import peak_process_mb; print(peak_process_mb())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 256


def test_on_windows_the_peak_is_that_of_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = types.SimpleNamespace(peak_wset=48 << 20)
    process = types.SimpleNamespace(memory_info=lambda: memory)
    monkeypatch.setitem(sys.modules, "psutil", types.SimpleNamespace(Process=lambda: process))
    monkeypatch.setattr("metabench.runtime.memory.sys.platform", "win32")
    assert peak_process_mb() == 48.0


def test_the_module_can_be_imported_without_the_resource_module() -> None:
    code = "import sys; sys.modules['resource'] = None; import metabench.runtime.memory"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_c_library_accepts_the_settings_or_is_left_alone() -> None:
    assert keep_freed_memory() in (True, False)
