"""The workflows of the forge and .ci/run call what the project has."""

import configparser
import re
import tomllib

import pytest

from tests.helpers.repository import ROOT

CI = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
RELEASE = (ROOT / ".github" / "workflows" / "release.yml").read_text()
LOCAL = (ROOT / ".ci" / "run").read_text()
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MATRIX = "py31{2,3,4}-no-torch"
"""The only section of tox.ini whose name stands for several environments."""


def environments() -> set[str]:
    """Returns the environments of tox.ini."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    names = {name.removeprefix("testenv:") for name in tox.sections() if ":" in name}
    return {*names - {MATRIX}, *(f"py31{minor}-no-torch" for minor in (2, 3, 4))}


@pytest.mark.parametrize("text", [CI, LOCAL], ids=["ci.yml", ".ci/run"])
def test_every_environment_that_is_called_exists(text: str) -> None:
    called = set(re.findall(r"tox\b.* -e ([\w.-]+)(?:\s|$)", text, re.MULTILINE)) - {"py"}
    assert called
    assert called <= environments()


def test_ci_runs_the_test_command_of_the_readme() -> None:
    (command,) = re.findall(r"^python3 -m venv .*&& tox$", README, re.MULTILINE)
    assert f"run: {command}\n" in CI


def test_ci_tests_the_oldest_and_the_newest_python_of_the_project() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    (tested,) = re.findall(r'python: \["(3\.\d+)", "(3\.\d+)"\]', CI)
    assert tested == (named[0], named[-1])
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_a_release_builds_every_adapter() -> None:
    (listed,) = re.findall(r"for adapter in (.*); do", RELEASE)
    folders = {path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")}
    example = "metabench-example"  # what `metabench new-plugin` writes, and no release
    assert {f"metabench-{name}" for name in listed.split()} == folders - {example}


@pytest.mark.parametrize("text", [CI, RELEASE], ids=["ci.yml", "release.yml"])
def test_actions_are_pinned_by_a_version(text: str) -> None:
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert all(re.search(r"@(v\d+|release/v\d+)$", action) for action in used)
