"""The dependencies in pyproject.toml, tox.ini and the constraint files agree; CITATION.cff, too."""

import configparser
import re
import tomllib
from collections.abc import Iterator

from packaging.requirements import Requirement

from metabench import __version__
from tests.helpers.repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINUX = {"sys_platform": "linux"}
TOX = configparser.ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini")


def constraints(name: str) -> dict[str, str]:
    """Returns the pinned version of each package of a constraint file."""
    lines = (ROOT / name).read_text().splitlines()
    pins: Iterator[list[str]] = (
        line.split(" #")[0].split("==") for line in lines if not line.startswith("#")
    )
    return dict(pins)


def lower_bounds(*extras: str) -> dict[str, str]:
    """Returns the lowest version that each dependency may have, those of the extras included."""
    lines = list(PROJECT["dependencies"])
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    bounds = {}
    for requirement in map(Requirement, lines):
        if requirement.marker is not None and not requirement.marker.evaluate(LINUX):
            continue
        (specifier,) = requirement.specifier
        assert specifier.operator == ">=", requirement
        bounds[requirement.name] = specifier.version
    return bounds


def test_the_oldest_constraints_are_the_lower_bounds_of_the_project() -> None:
    indirect = {"pyparsing": "3.1"}
    assert constraints("constraints-oldest.txt") == lower_bounds("plot", "test") | indirect


def test_the_pinned_pytorch_is_one_that_the_project_allows() -> None:
    (torch,) = (r for r in map(Requirement, PROJECT["dependencies"]) if r.name == "torch")
    assert torch.specifier.contains(constraints("constraints.txt")["torch"])


def test_the_environment_without_pytorch_has_all_other_dependencies() -> None:
    listed = TOX["testenv:py31{2,3,4}-no-torch"]["deps"].strip().splitlines()
    assert listed == [line for line in PROJECT["dependencies"] if not line.startswith("torch")]


def test_the_citation_names_the_version_and_the_licence_of_the_project() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    found = dict(re.findall(r"^(version|license): (.*)$", citation, re.MULTILINE))
    assert found == {"version": __version__, "license": PROJECT["license"]}
