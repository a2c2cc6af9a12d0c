"""The digest of an algorithm's code: its own files and what they import."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from metabench.algorithms.problem import Problem
from metabench.benchmarks.tasks import open_tasks
from metabench.plugins import installed_plugins
from metabench.running.code_digest import COUNTED, _sources, code_digest, code_of
from tests.helpers.cells import blobs

FILES = {
    "__init__": "",
    "algorithm": """
'''Plans.'''
from metabench import Algorithm
from metabench.learning import schedules
from planned_package import constants
from .networks.body import Body

class Planned(Algorithm):
    name = "planned"

    def __init__(self, problem):
        super().__init__(problem)
        self.body = Body()

    def adapt(self, support):
        from planned_package.late import predict
        return predict
""",
    "constants": "RATE = 1",
    "late": "def predict(query): return query",
    "networks/__init__": "",
    "networks/body": """
import planned_package.networks.parts
from torch import nn

class Body(nn.Module):
    pass
""",
    "networks/parts": "WIDTH = 1",
    "apart": "NOBODY = 'imports this'",
}
PROBLEM = Problem("classification", (1, 8, 8), 3, 1, 2, 3, "")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "planned_package"
    for name, text in FILES.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("late", "apart"):
        importlib.import_module(f"planned_package.{name}")
    yield folder
    for name in [name for name in sys.modules if name.startswith("planned_package")]:
        del sys.modules[name]


def planned() -> Any:
    return importlib.import_module("planned_package.algorithm").Planned(PROBLEM)


@pytest.mark.parametrize(
    "name", ["algorithm", "constants", "late", "networks/body", "networks/parts"]
)
def test_a_changed_file_that_it_runs_changes_the_digest(package: Path, name: str) -> None:
    before = code_digest(planned())
    assert code_digest(planned()) == before
    (package / f"{name}.py").write_text(FILES[name] + "\n# changed")
    assert code_digest(planned()) != before


@pytest.mark.parametrize(
    "name", ["algorithm", "constants", "late", "networks/body", "networks/parts"]
)
def test_another_program_in_a_file_that_it_runs_changes_the_code(package: Path, name: str) -> None:
    before = code_of(planned())
    assert re.fullmatch("[0-9a-f]{64}", before)
    (package / f"{name}.py").write_text(FILES[name] + "\nOTHER = 1")
    assert code_of(planned()) != before


def test_words_leave_the_code(package: Path) -> None:
    before = code_of(planned())
    text = FILES["algorithm"].replace("Plans.", "Makes plans.")
    (package / "algorithm.py").write_text(text + "\n# changed")
    assert code_of(planned()) == before


def test_the_version_of_pytorch_leaves_the_code(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, of_checkpoint = code_of(planned()), code_digest(planned())
    monkeypatch.setattr(torch, "__version__", "99.0")
    assert code_of(planned()) == before
    assert code_digest(planned()) != of_checkpoint


def test_what_else_is_imported_leaves_the_code(package: Path) -> None:
    algorithm = planned()
    before = code_of(algorithm)
    del sys.modules["planned_package.late"], sys.modules["planned_package.networks.parts"]
    assert code_of(algorithm) == before


def test_the_place_of_the_files_leaves_the_code(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_of(planned())
    for name in [name for name in sys.modules if name.startswith("planned_package")]:
        del sys.modules[name]
    shutil.move(package, tmp_path / "elsewhere" / "planned_package")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    algorithm = planned()
    assert "elsewhere" in sys.modules[type(algorithm).__module__].__file__
    assert code_of(algorithm) == before


def test_an_import_from_outside_the_package_is_no_error(package: Path) -> None:
    (package / "constants.py").write_text("def f():\n    from ....far import away")
    assert "planned_package.constants" in _sources(planned())


def test_a_file_that_it_does_not_import_does_not_count(package: Path) -> None:
    before = code_digest(planned())
    (package / "apart.py").write_text("NOBODY = 'still'")
    assert code_digest(planned()) == before


def test_only_some_packages_of_metabench_count(package: Path) -> None:
    counted = _sources(planned())
    assert "metabench.algorithms.base" in counted
    assert "metabench.learning.schedules" in counted
    assert all(name.startswith((*COUNTED, "planned_package")) for name in counted)


def test_the_helpers_of_a_built_in_algorithm_count() -> None:
    registry = installed_plugins().registry
    benchmark = blobs(dataset="glyphs", backbone="conv4")
    problem = open_tasks(registry, benchmark, None, torch.device("cpu")).problem(registry)
    counted = _sources(registry.get("algorithm", "maml").load()(problem))
    for helper in (
        "learning.inner_loop",
        "backbones.conv4",
        "backbones.ops.products",
    ):
        assert f"metabench.{helper}" in counted
    assert "metabench.algorithms.protonet" not in counted
    # Training images are augmented where they are drawn, whichever algorithm asks for them.
    assert not any(name.startswith("metabench.episodes") for name in counted)


def test_a_class_without_a_file_has_a_digest() -> None:
    from metabench import Algorithm

    namespace: dict[str, Any] = {"__name__": "__main__", "Algorithm": Algorithm}
    exec(
        "class Typed(Algorithm):\n    name = 'typed'\n    def adapt(self, support): ...", namespace
    )
    assert len(code_digest(namespace["Typed"](PROBLEM))) == 64
    assert code_of(namespace["Typed"](PROBLEM)) == ""
