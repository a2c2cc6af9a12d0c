"""Where a number was made, told so that two machines are told apart."""

from pathlib import Path

import pytest

from metabench.runtime.provenance import cpu_name

MASKED = """processor\t: 0
cpu family\t: 25
model\t\t: {model}
model name\t: AMD EPYC

processor\t: 1
model\t\t: 99
"""


def test_processors_that_hide_their_names_are_told_apart(tmp_path: Path) -> None:
    names = []
    for model in (1, 17):
        source = tmp_path / f"{model}"
        source.write_text(MASKED.format(model=model))
        names.append(cpu_name(source))
    assert names == ["AMD EPYC (family 25, model 1)", "AMD EPYC (family 25, model 17)"]


@pytest.mark.parametrize("text", [None, "", "CPU implementer\t: 0x41\n"])
def test_where_nothing_is_told_python_is_asked(tmp_path: Path, text: str | None) -> None:
    source = tmp_path / "cpuinfo"
    if text is not None:
        source.write_text(text)
    name = cpu_name(source)
    assert name
    assert "family" not in name
