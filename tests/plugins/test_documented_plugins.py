"""The plugins on docs/plugins.md work as the page says."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metabench.records.store import ResultsFolder
from tests.helpers.cells import make_record, records_in
from tests.helpers.plugin_site import Site
from tests.helpers.repository import ROOT, blocks

PAGE = ROOT / "docs" / "plugins.md"

SUITE = """
name = "flags"
[[benchmark]]
name = "flags-2w1s"
dataset = "flags"
ways = 2
shots = 1
queries = 1
backbone = "mlp"
budget = 8
validations = 1
validation_episodes = 2
test_episodes = 4
metrics = ["accuracy"]
"""


def source(heading: str) -> str:
    """Returns the block of Python below a heading of the page."""
    text = PAGE.read_text(encoding="utf-8")
    line = text[: text.index(f"\n## {heading}\n")].count("\n") + 2
    return next(b.text for b in blocks(PAGE) if b.language == "python" and b.line > line)


def draw(data: Path, *, split: str, name: str, pictures: int = 2) -> Path:
    """Create pictures of one colour each, of a class of the data set on the page."""
    folder = data / "flags" / split / name
    folder.mkdir(parents=True)
    for number in range(pictures):
        # Another colour for each class: the same picture in two splits is leakage.
        shade = (*hashlib.sha256(name.encode()).digest()[:2], 20 * number)
        Image.fromarray(np.full((40, 50, 3), shade, np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def flags(site: Site, tmp_path: Path) -> Path:
    """Returns the folder of the data of an installed data set of pictures."""
    site.add("flags", source("A data set"))
    (tmp_path / "flags.toml").write_text(SUITE)
    for split in ("train", "validation", "test"):
        for name in ("chad", "peru", "laos"):
            draw(tmp_path / "data", split=split, name=f"{split}-{name}")
    return tmp_path / "data"


def run_flags(site: Site, data: Path, code: int = 0) -> str:
    suite = data.parent / "flags.toml"
    command = ("run", "-a", "nearest-mean", "--suite", suite, "--data", data)
    command = (*command, "--results", data.parent / "r")
    return site.metabench(*command, code=code).stderr


def test_a_data_set_of_pictures(site: Site, flags: Path) -> None:
    listed = {row["name"]: row for row in site.json("data", "list", "--data", flags)}
    assert listed["flags"]["status"] == "folders"
    assert listed["flags"]["summary"] == "Photographs of flags, with the countries as classes."
    run_flags(site, flags)
    (record,) = records_in(flags.parent / "r").values()
    assert record.status == "ok"
    elsewhere = {row["name"]: row for row in site.json("data", "list", "--data", flags / "no")}
    assert elsewhere["flags"]["status"] == "missing"


def test_unequal_numbers_of_pictures_are_named(site: Site, flags: Path) -> None:
    draw(flags, split="test", name="test-mali", pictures=3)
    error = run_flags(site, flags, code=2)
    assert "have unequal numbers of pictures: {" in error
    assert "'test-mali': 3" in error


def test_a_damaged_picture_is_named(site: Site, flags: Path) -> None:
    damaged = flags / "flags" / "train" / "train-chad" / "0.png"
    damaged.write_bytes(b"no picture")
    error = run_flags(site, flags, code=2)
    assert re.search(r"the train split of 'flags' cannot be read: .*0\.png", error)
    assert "Replace the file" in error
    assert "metabench data verify" not in error
    error = site.metabench("data", "verify", "flags", "--data", flags, code=2).stderr
    assert "data set 'flags' of 'zoo-flags' has no download and no verification." in error


def test_missing_pictures_are_an_error_with_the_folder(site: Site, flags: Path) -> None:
    error = run_flags(site, flags.parent / "elsewhere", code=2)
    assert "there is no class in '" in error


def test_a_metric(site: Site, tiny: str, tmp_path: Path) -> None:
    site.add("top-two", source("A metric"))
    site.metabench(
        "run", "-a", "protonet", "-b", tiny, "--metrics", "top-two", "--results", tmp_path / "r"
    )
    (record,) = records_in(tmp_path / "r").values()
    metric = record.metrics["top-two"]
    assert metric.status == "ok", metric.reason
    assert metric.mean == 1.0, "of two ways, both labels are among the two most likely"


def test_an_executor(site: Site, tiny: str, tmp_path: Path) -> None:
    site.add("one-by-one", source("An executor"))
    run = ("run", "-a", "protonet", "-b", tiny, "--results")
    done = site.metabench(*run, tmp_path / "r", "--executor", "one-by-one")
    assert f"protonet on {tiny}, seed 0: started" in done.stderr
    site.metabench(*run, tmp_path / "s")
    found, expected = (records_in(tmp_path / folder)["protonet"] for folder in "rs")
    assert found.status == "ok", found.reason
    assert found.metrics["accuracy"].episodes == expected.metrics["accuracy"].episodes


def test_a_format(site: Site, tmp_path: Path) -> None:
    site.add("tabs", source("A format"))
    for name, scores in (("a", (0.25, 0.5)), ("b", (1.0, 1.0))):
        ResultsFolder(tmp_path / "r").save(make_record(name, scores))
    listed = {row["name"]: row for row in site.json("list", "formats")}
    assert listed["tsv"]["summary"] == "Values separated by tabs"
    done = site.metabench("leaderboard", tmp_path / "r", "--format", "tsv")
    assert done.stdout.splitlines()[0] == "blobs-3w1s@1\tb\t1.0"
