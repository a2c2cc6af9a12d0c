"""Fixtures of all tests: a cache folder, and a plugin with algorithms and data for tests."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from metabench.plugins import Plugins, installed_plugins

with contextlib.suppress(ImportError):  # tests/performance runs without hypothesis
    import hypothesis

    hypothesis.settings.register_profile("metabench", deadline=None, max_examples=40)
    hypothesis.settings.load_profile("metabench")

torch.set_num_threads(1)  # as in a cell, and CI runs tests in parallel
# PyTorch warns once in a process, so that the order of the tests would decide which one fails.
torch.set_warn_always(True)

PLANTED = Path(__file__).parent / "helpers" / "planted"
ENTRY_POINTS = "[metabench]\nplanted = metabench_planted\n"
METADATA = "Metadata-Version: 2.1\nName: metabench-planted\nVersion: 3.1\n"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METABENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name in ("METABENCH_DATA", "METABENCH_PLUGINS", "METABENCH_NO_PLUGINS"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def _planted_distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the metadata that makes ``tests/helpers/planted`` an installed plugin."""
    folder = tmp_path_factory.mktemp("site")
    info = folder / "metabench_planted-3.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


@pytest.fixture
def planted(_planted_distribution: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugins]:
    """The plugins with the planted one, in this process and those that it starts."""
    places = [str(_planted_distribution), str(PLANTED)]
    for place in places:
        monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("PYTHONPATH", ":".join(places))
    monkeypatch.setenv("METABENCH_PLUGINS", "planted")
    installed_plugins.cache_clear()
    yield installed_plugins()
    installed_plugins.cache_clear()
