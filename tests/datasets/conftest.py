"""The real data, for the tests that need them."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """One folder per data set: in $METABENCH_TEST_DATA, else in shared/data beside the repository."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    root = Path(os.environ.get("METABENCH_TEST_DATA") or beside)
    if not (root / "omniglot").is_dir():
        pytest.skip(
            f"no real data in {root}: set METABENCH_TEST_DATA to the folder that holds omniglot/"
        )
    return root
