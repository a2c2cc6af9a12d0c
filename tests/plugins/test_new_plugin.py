"""``metabench new-plugin`` creates a working project; plugins/metabench-example is one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from metabench.cli import cli
from metabench.errors import UsageError
from tests.helpers.plugin_site import Site

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "plugins" / "metabench-example"
RUN = ["run", "-a", "example", "-a", "nearest-mean", "-b", "glyphs-5w1s", "--quick"]


def new_plugin(*arguments: str | Path) -> str:
    done = CliRunner(catch_exceptions=False).invoke(
        cli, ["new-plugin", *map(str, arguments)], standalone_mode=False
    )
    if done.exception is not None:
        raise done.exception
    return done.output


def contents(folder: Path) -> dict[str, bytes]:
    """What git would keep of a folder: not what tools have left in it."""
    made = re.compile(r"__pycache__|dist|build|\.venv|.*\.egg-info|\..*_cache")
    files = {p.relative_to(folder): p for p in folder.rglob("*") if p.is_file()}
    return {
        str(place): path.read_bytes()
        for place, path in files.items()
        if not any(made.fullmatch(part) for part in place.parts)
    }


def build_wheel(project: Path, into: Path) -> Path:
    """Build a wheel with the project's own build back end, without a network."""
    into.mkdir(parents=True, exist_ok=True)
    code = "import sys, hatchling.build as b; print(b.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, into],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    return into / done.stdout.split()[-1]


def test_the_example_is_what_the_command_creates(tmp_path: Path) -> None:
    new_plugin("example", "--into", tmp_path)
    made = contents(tmp_path / "metabench-example")
    assert contents(EXAMPLE) == made, (
        "run: rm -r plugins/metabench-example; metabench new-plugin example ..."
    )
    assert set(made) == {
        "pyproject.toml",
        "metabench_example.py",
        "tests/test_metabench_example.py",
        ".github/workflows/test.yml",
        "README.md",
        ".gitignore",
    }


def test_the_name_is_everywhere(tmp_path: Path) -> None:
    output = new_plugin("metabench-my-algo2", "--into", tmp_path / "deep" / "er")
    folder = tmp_path / "deep" / "er" / "metabench-my-algo2"
    assert f'pip install -e "{folder}[test]"' in output
    made = contents(folder)
    text = b"".join(made.values()).decode()
    assert b"class MyAlgo2(Algorithm):" in made["metabench_my_algo2.py"]
    assert b'my-algo2 = "metabench_my_algo2"' in made["pyproject.toml"]
    for left_over in ("@name@", "@class@", "@module@", "@distribution@", "@metabench@", "xample"):
        assert left_over not in text


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    kept = tmp_path / "metabench-mine" / "kept.txt"
    kept.parent.mkdir()
    kept.write_text("as it was")
    with pytest.raises(UsageError, match="already exists, and was not changed"):
        new_plugin("mine", "--into", tmp_path)
    assert [p.name for p in kept.parent.iterdir()] == ["kept.txt"]


def test_a_read_only_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written: Not a directory"):
        new_plugin("mine", "--into", tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "say", "hint"),
    [
        ("My Algo", "'My Algo' is not a valid name of a plugin", "'my-algo'"),
        ("", "'' is not a valid name", "'my-algo'"),
        ("3net", "'3net' is not a valid name", "'net'"),
        ("a--b", "is not a valid name", "'a-b'"),
        ("../up", "is not a valid name", "'up'"),
        ("größe", "is not a valid name", "'gr-e'"),
        ("a" * 41, "is not a valid name", "at most 40"),
        ("maml", "'maml' is a built-in algorithm of metabench", "'my-maml'"),
        ("class", "'class' is a keyword of Python", "'my-class'"),
        ("none", "'none' is a keyword of Python", "'my-none'"),
        ("task-stream", "its class 'TaskStream', which the module imports", "'my-task-stream'"),
    ],
)
def test_an_invalid_name_is_an_error(tmp_path: Path, name: str, say: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        new_plugin("--into", tmp_path, "--", name)
    assert caught.value.exit_code == 2
    assert say in caught.value.message
    assert hint in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_the_wheel_of_the_example_is_found_run_and_ranked(site: Site, tmp_path: Path) -> None:
    wheel = build_wheel(EXAMPLE, tmp_path / "dist")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site.path)

    (plugin,) = [p for p in site.json("plugins") if p["name"] == "example"]
    assert (plugin["distribution"], plugin["status"]) == ("metabench-example", "ok")
    (report,) = site.json("check", "example")
    assert report["ok"], report
    site.metabench(*RUN, "--results", tmp_path / "results")
    check_leaderboard(
        site.metabench("leaderboard", tmp_path / "results", "--quick", "--format", "json").stdout
    )


def check_leaderboard(text: str) -> None:
    """The example has its row, and has learned something: pixels alone do worse."""
    rows = {row["algorithm"]: row for row in json.loads(text)}
    assert rows["example"]["status"] == "ok"
    assert rows["example"]["library"] == "metabench-example"
    assert rows["example"]["score"] > rows["nearest-mean"]["score"] > 1 / 5


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_wheel_of_the_example_works_in_a_clean_environment(cache: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    scripts = venv / ("Scripts" if os.name == "nt" else "bin")
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("METABENCH_", "PYTHON"))
    }
    environment["METABENCH_CACHE"] = str(cache)

    def call(program: str, *arguments: str | Path) -> str:
        command = [scripts / program, *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    wheels = build_wheel(ROOT, tmp_path / "dist"), build_wheel(EXAMPLE, tmp_path / "dist")
    example = f"metabench-example[test] @ {wheels[1].as_uri()}"
    call("pip", "install", "-q", "-c", ROOT / "constraints.txt", wheels[0], example)

    assert "metabench-example" in call("metabench", "--strict", "plugins")
    assert "1 of 1 algorithm passes." in call("metabench", "check", "example")
    call("metabench", *RUN, "--results", "results")
    check_leaderboard(call("metabench", "leaderboard", "results", "--quick", "--format", "json"))
    call("pytest", "-p", "no:cacheprovider", EXAMPLE)
