"""docs/threats.md lists the cheats that are planted, and no other."""

import re

from tests.helpers.cheats import metabench_cheats
from tests.helpers.repository import ROOT

PAGE = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")


def test_every_planted_cheat_is_in_a_table() -> None:
    listed = re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)
    planted = {cls.name for cls in metabench_cheats.metabench_algorithms()} - {"honest"}
    assert set(listed) == planted
    assert len(listed) == len(planted) >= 8


def test_every_planted_cheat_is_run_by_a_test() -> None:
    path = ROOT / "tests" / "running" / "sealing" / "test_cheats.py"
    tests = path.read_text(encoding="utf-8")
    for cls in metabench_cheats.metabench_algorithms():
        assert f'"{cls.name}"' in tests, cls.name
