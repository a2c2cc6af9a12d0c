"""What an adapter says of the library that does its work."""

import importlib.metadata

from metabench import describe_library


def test_it_is_the_name_with_the_version_that_is_installed() -> None:
    assert describe_library("pluggy") == f"pluggy {importlib.metadata.version('pluggy')}"


def test_one_that_is_missing_is_said_to_be() -> None:
    assert describe_library("no-such-library") == "no-such-library (not installed)"
