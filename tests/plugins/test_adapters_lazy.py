"""The adapters are listed without their libraries, and a missing library is a row."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.plugin_site import Site

ROOT = Path(__file__).parents[2]
ADAPTERS = {
    "learn2learn": [
        "l2l-anil",
        "l2l-fomaml",
        "l2l-maml",
        "l2l-meta-curvature",
        "l2l-meta-sgd",
        "l2l-protonet",
    ],
    "higher": ["higher-adam", "higher-fomaml", "higher-learned-lr", "higher-maml"],
    "torchopt": ["torchopt-maml"],
}
WRONG = {
    "missing": "raise ModuleNotFoundError(f'No module named {__name__!r}', name=__name__)",
    "broken": "raise RuntimeError('operator somewhere::something does not exist')",
}


@pytest.fixture(params=ADAPTERS)
def library(request: pytest.FixtureRequest, site: Site) -> str:
    """The name of a library whose adapter is on the site."""
    name: str = request.param
    package = f"metabench_{name}"
    (site.path / package).symlink_to(ROOT / "plugins" / f"metabench-{name}" / package)
    info = site.path / f"{package}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: metabench-{name}\nVersion: 0.1.0\n"
    )
    (info / "entry_points.txt").write_text(f"[metabench]\n{name} = {package}\n")
    return name


def test_it_is_listed_with_its_library_and_nothing_is_imported(library: str, site: Site) -> None:
    (site.path / f"{library}.py").write_text("raise SystemExit('the library was imported')")
    (plugin,) = [p for p in site.json("plugins") if p["distribution"] == f"metabench-{library}"]
    assert (plugin["status"], plugin["provides"]["algorithms"]) == ("ok", ADAPTERS[library])
    rows = [
        r for r in site.json("list", "algorithms") if r["distribution"] == f"metabench-{library}"
    ]
    assert [r["name"] for r in rows] == ADAPTERS[library]
    assert {r["library"].partition(" ")[0] for r in rows} == {library}

    code = f"import sys, metabench_{library} as m; m.metabench_algorithms(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(site.path)},
    )
    assert not {"torch", library} & set(done.stdout.split())


@pytest.mark.parametrize("wrong", WRONG)
def test_an_unusable_library_is_a_row_with_the_reason(
    wrong: str, library: str, site: Site, tiny: str, tmp_path: Path
) -> None:
    (site.path / f"{library}.py").write_text(WRONG[wrong])
    name = ADAPTERS[library][-1]
    run = ["run", "-a", name, "-a", "random", "-b", tiny, "--results", tmp_path, "--json"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "metabench", *map(str, run)],
        capture_output=True,
        text=True,
        cwd=site.cache,
        env={
            "PYTHONPATH": str(site.path),
            "METABENCH_CACHE": str(site.cache),
            "OMP_NUM_THREADS": "1",
        },
    )
    rows = {row["algorithm"]: row for row in json.loads(done.stdout)}
    assert rows["random"]["status"] == "ok", done.stderr
    assert rows[name]["status"] == "broken-plugin"
    assert f"'{name}' of 'metabench-{library}' cannot be imported" in rows[name]["reason"]
