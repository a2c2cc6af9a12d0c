"""Commands that must be fast do not import heavy modules."""

import json
import subprocess
import sys

import pytest

from metabench.cli.list_command import KINDS

HEAVY = {
    "torch",
    "pandas",
    "scipy",
    "numpy",
    "pydantic",
    "rich",
    "PIL",
    "tabulate",
    "jinja2",
    "matplotlib",
}

LOADED = """
import json, sys
from metabench.cli import main
try:
    main(json.loads(sys.argv[1]))
except SystemExit as end:
    assert not end.code, end.code
print("\\n" + json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded_by(*arguments: str) -> set[str]:
    command = [sys.executable, "-c", LOADED, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_metabench_imports_nothing() -> None:
    names = "sorted({name.partition('.')[0] for name in sys.modules})"
    code = f"import json, sys, metabench; print(json.dumps({names}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not (HEAVY | {"click", "pluggy"}) & set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "arguments",
    [(name, "--help") for name in ("run", "leaderboard", "report", "plot", "check")]
    + [("--help",), ("--version",)],
)
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert not HEAVY & loaded_by(*arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_listing_imports_no_torch(kind: str) -> None:
    assert not {"torch", "pandas", "scipy", "numpy"} & loaded_by("list", kind)


def test_listing_plugins_imports_no_torch() -> None:
    assert "torch" not in loaded_by("plugins")


def test_config_and_results_can_be_read_without_torch() -> None:
    code = (
        "import sys, metabench.config, metabench.records.schema; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
