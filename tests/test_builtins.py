"""The specs of the built-in plugin agree with the classes that they name."""

import pytest

from metabench.plugins import Plugins


@pytest.mark.parametrize("kind", ["algorithm", "metric", "dataset", "backbone"])
def test_the_listed_version_is_that_of_the_class(kind: str) -> None:
    for spec in Plugins(only=()).registry.specs(kind):
        assert (spec.name, spec.version) == (spec.name, str(getattr(spec.load(), "version", "1")))
