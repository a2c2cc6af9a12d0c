"""The library that an adapter states."""

import importlib.metadata

from metabench import describe_library


def test_it_is_the_name_with_the_installed_version() -> None:
    assert describe_library("pluggy") == f"pluggy {importlib.metadata.version('pluggy')}"


def test_a_missing_library_is_stated_as_not_installed() -> None:
    assert describe_library("no-such-library") == "no-such-library (not installed)"
