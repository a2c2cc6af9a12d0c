"""The array cache returns what was saved, or nothing."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metabench.datasets import cache


@pytest.mark.parametrize(
    "array", [np.arange(12, dtype=np.uint8).reshape(3, 4), np.zeros((0, 2)), np.array(1)]
)
def test_what_was_saved_is_loaded(tmp_path: Path, array: np.ndarray) -> None:
    path = tmp_path / "deep" / "a.bin"
    cache.save(path, array)
    loaded = cache.load(path)
    assert loaded is not None
    assert loaded.dtype == array.dtype
    assert np.array_equal(loaded, array)
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_file_loads_nothing(tmp_path: Path) -> None:
    assert cache.load(tmp_path / "a.bin") is None
    assert cache.load(tmp_path) is None


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)
@given(at=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_file_loads_nothing(tmp_path: Path, at: float, flip: int, cut: bool) -> None:
    path = tmp_path / "a.bin"
    cache.save(path, np.arange(100))
    raw = bytearray(path.read_bytes())
    where = int(at * len(raw))
    raw[where] ^= flip
    path.write_bytes(raw[:where] if cut else raw)
    assert cache.load(path) is None


def test_an_unwritable_folder_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache.save(tmp_path / "file" / "a.bin", np.arange(3))
    (tmp_path / "taken.bin").mkdir()
    cache.save(tmp_path / "taken.bin", np.arange(3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken.bin"]
