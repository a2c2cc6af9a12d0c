"""Running the command line in this process, and as a process."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from metabench.cli import main
from metabench.executors import processes
from metabench.executors.inprocess import InProcessExecutor
from tests.helpers.cells import suite_file


@dataclass(frozen=True)
class Ended:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


@pytest.fixture
def metabench(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ended]:
    """Run ``metabench`` with these arguments, in this process."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv(
        "METABENCH_NO_PLUGINS", os.environ.get("METABENCH_NO_PLUGINS", "")
    )  # --no-plugin sets it

    def run(*arguments: object) -> Ended:
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        code = caught.value.code
        assert isinstance(code, int)
        return Ended(code, *capfd.readouterr())

    return run


@pytest.fixture
def suite(planted, tmp_path: Path) -> Path:
    """A suite with one tiny benchmark."""
    return suite_file(tmp_path / "tiny.toml")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working folder."""
    folder = tmp_path / "working"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``metabench run`` run its cells in this process: a worker takes seconds to start."""
    monkeypatch.setattr(processes, "ProcessExecutor", InProcessExecutor)  # the default executor
