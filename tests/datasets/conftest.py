"""The published data, for the tests that need them."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with one folder per data set: $METABENCH_TEST_DATA, else ../shared/data."""
    default = Path(__file__).parents[3] / "shared" / "data"
    root = Path(os.environ.get("METABENCH_TEST_DATA") or default)
    if not (root / "omniglot").is_dir():
        pytest.skip(
            f"no data in {root}: set METABENCH_TEST_DATA to the folder that holds omniglot/"
        )
    return root
