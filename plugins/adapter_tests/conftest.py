"""The fixtures and helpers of ``tests/``, which is not on ``sys.path``."""

import importlib.util
import sys
from pathlib import Path

if "tests" not in sys.modules:
    folder = Path(__file__).parents[2] / "tests"
    spec = importlib.util.spec_from_file_location("tests", folder / "__init__.py")
    assert spec is not None
    sys.modules["tests"] = importlib.util.module_from_spec(spec)

from tests.conftest import *  # noqa: F403
