"""Every adapter runs with ``metabench.run``; its row is ``ok`` and names the library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import metabench
from adapter_tests.adapter_kit import adapter
from metabench.config import Resources
from metabench.leaderboard.rows import LeaderboardRow
from metabench.plugins import installed_plugins

SUITE = """
name = "tiny"
[[benchmark]]
name = "tiny-glyphs"
dataset = "glyphs"
ways = 3
shots = 1
queries = 4
backbone = "conv4"
budget = 72
validations = 1
validation_episodes = 2
test_episodes = 20
metrics = ["accuracy", "cost"]
[[benchmark]]
name = "tiny-sinusoid"
dataset = "sinusoid"
ways = 0
shots = 5
queries = 10
backbone = "mlp"
budget = 160
validations = 1
validation_episodes = 2
test_episodes = 20
metrics = ["mse", "cost"]
"""
SMALL: dict[str, Any] = {"tasks": 2, "train_queries": 2}
CALM = {"maml": 0.04, "fomaml": 0.02, "anil": 0.04}
"""Inner rates by native method: above them, rounding flips a ReLU and Adam magnifies it."""
CALM_OUTER = 1e-3
"""The outer rate of all methods with an inner loop, for the same reason."""
NATIVE = {
    "l2l-maml": "maml",
    "l2l-fomaml": "fomaml",
    "l2l-anil": "anil",
    "l2l-meta-sgd": "meta-sgd",
    "l2l-protonet": "protonet",
    "l2l-meta-curvature": "",
    "higher-maml": "maml",
    "higher-fomaml": "fomaml",
    "higher-adam": "",
    "higher-learned-lr": "",
    "torchopt-maml": "maml",
    "torchfunc-maml": "maml",
}
LIBRARIES = {
    "l2l": "learn2learn 0.2.0",
    "higher": "higher 0.2.1",
    "torchopt": "torchopt 0.7.3",
    "torchfunc": f"torch.func of torch {torch.__version__}",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the suite and the results of all tests, so that a native row is run once."""
    made = tmp_path_factory.mktemp("tiny")
    (made / "tiny.toml").write_text(SUITE)
    return made


def run(folder: Path, *names: str, data: str, **settings: Any) -> dict[str, LeaderboardRow]:
    results = metabench.run(
        names,
        suite=str(folder / "tiny.toml"),
        benchmarks=[data],
        settings={name: {**SMALL, **settings} for name in names},
        results=folder / "results",
        resources=Resources(executor="in-process"),
    )
    return {row.algorithm.partition("[")[0]: row for row in results.leaderboard().rows}


@pytest.mark.parametrize("data", ["tiny-glyphs", "tiny-sinusoid"])
@pytest.mark.parametrize("name", NATIVE)
def test_an_adapter_is_a_row_of_its_library(name: str, data: str, folder: Path) -> None:
    cls = adapter(name)
    assert installed_plugins().registry.get("algorithm", name).version == cls.version
    if data == "tiny-sinusoid" and name == "l2l-protonet":
        row = run(folder, name, data=data)[name]
        assert (row.status, row.reason) == (
            "skipped",
            "l2l-protonet classifies, and this benchmark is regression.",
        )
        return
    settings: dict[str, Any] = {"train_ways": 4} if name == "l2l-protonet" else {}
    if NATIVE[name] in CALM and data == "tiny-glyphs":
        settings = {"inner_lr": CALM[NATIVE[name]]}
    if NATIVE[name] != "protonet":
        settings["outer_lr"] = CALM_OUTER
    names = [name, NATIVE[name]] if NATIVE[name] else [name]
    rows = run(folder, *names, data=data, **settings)
    row = rows[name]
    assert (row.status, row.reason) == ("ok", "")
    assert row.library == LIBRARIES[name.partition("-")[0]]
    assert row.train_examples
    if NATIVE[name]:
        native = rows[NATIVE[name]]
        assert row.score == pytest.approx(native.score, abs=0.01)
        assert row.train_examples == native.train_examples
        assert row.parameters == native.parameters


@pytest.mark.parametrize("name", ["l2l-maml", "higher-maml", "torchopt-maml"])
def test_the_command_line_runs_an_adapter_in_a_worker_and_prints_only_json(
    name: str, folder: Path
) -> None:
    """Output of a library's import does not reach stdout."""
    adapter(name)
    command = ["run", "-a", name, "--suite", folder / "tiny.toml", "-b", "tiny-sinusoid", "--json"]
    command += ["--set", f"{name}.tasks=2", "--results", folder / name]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "metabench", *command],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["status"], row["library"]) == ("ok", LIBRARIES[name.partition("-")[0]])


@pytest.mark.parametrize("backbone", ["l2l-omniglot-cnn", "l2l-omniglot-fc", "l2l-cnn4"])
@pytest.mark.parametrize("name", ["l2l-maml", "maml"])
def test_a_hyper_parameter_selects_a_vision_model_as_the_backbone(
    name: str, backbone: str, folder: Path
) -> None:
    adapter("l2l-maml")
    row = run(folder, name, data="tiny-glyphs", backbone=backbone)[name]
    assert (row.status, row.reason, row.backbone) == ("ok", "", backbone)
