"""The environment of a record, and the fingerprint of the machine."""

from pathlib import Path

import pytest
import torch

from metabench.runtime.provenance import cpu_name, environment, machine_facts, machine_of

MASKED = """processor\t: 0
cpu family\t: 25
model\t\t: {model}
model name\t: AMD EPYC

processor\t: 1
model\t\t: 99
"""
MACHINE = {
    "cpu": "AMD EPYC",
    "threads": 1,
    "torch": "2.13.0",
    "device": "cpu",
    "precision": "highest",
    "platform": "Linux",
}


def test_processors_with_the_same_shortened_name_differ(tmp_path: Path) -> None:
    names = []
    for model in (1, 17):
        source = tmp_path / f"{model}"
        source.write_text(MASKED.format(model=model))
        names.append(cpu_name(source))
    assert names == ["AMD EPYC (family 25, model 1)", "AMD EPYC (family 25, model 17)"]


@pytest.mark.parametrize("text", [None, "", "CPU implementer\t: 0x41\n"])
def test_without_a_model_name_the_name_is_that_of_python(tmp_path: Path, text: str | None) -> None:
    source = tmp_path / "cpuinfo"
    if text is not None:
        source.write_text(text)
    name = cpu_name(source)
    assert name
    assert "family" not in name


def test_the_machine_in_words_names_what_timings_depend_on() -> None:
    assert machine_of(MACHINE) == "AMD EPYC, 1 thread(s), torch 2.13.0"
    gpu = MACHINE | {"gpu": "NVIDIA H200", "device": "cuda:0"}
    assert machine_of(gpu) == "NVIDIA H200 (cuda:0) with AMD EPYC, 1 thread(s), torch 2.13.0"
    assert machine_of(MACHINE | {"precision": "bf16"}).endswith(", precision bf16")


@pytest.mark.parametrize("fact", ["cpu", "gpu", "threads", "torch", "precision"])
def test_another_machine_has_another_fingerprint(fact: str) -> None:
    other = MACHINE | {fact: "other"}
    assert machine_facts(other) != machine_facts(MACHINE)
    assert machine_of(other) != machine_of(MACHINE)


def test_other_facts_of_the_environment_are_not_part_of_the_fingerprint() -> None:
    assert machine_facts(MACHINE | {"platform": "other"}) == machine_facts(MACHINE)


def test_a_record_without_a_precision_was_made_with_the_highest() -> None:
    older = {name: value for name, value in MACHINE.items() if name != "precision"}
    assert machine_facts(older) == machine_facts(MACHINE)


def test_the_environment_has_every_fact_of_the_fingerprint() -> None:
    facts = environment(device=torch.device("cpu"), threads=1, precision="bf16")
    assert machine_facts(facts).items() - {("gpu", None)} <= facts.items()


def test_a_checkout_states_its_commit() -> None:
    import metabench

    facts = environment(device=torch.device("cpu"), threads=1)
    checkout = (Path(metabench.__file__).parents[1] / ".git").exists()
    assert (facts["git_commit"] is not None) == checkout
