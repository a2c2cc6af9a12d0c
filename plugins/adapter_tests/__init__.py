"""Tests of all adapters together, with the real libraries: ``tox -e plugins``."""
