"""The leakage audit compares the classes drawn in training with the held-out ones."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metabench.episodes import ClassSampler, LeakageAudit, NWayKShot
from metabench.errors import LeakageError
from tests.helpers.coded_pool import coded_pool


def test_a_leak_is_reported_with_the_name_of_a_leaked_class() -> None:
    pool = coded_pool(10, 4)
    audit = LeakageAudit(pool.origins)
    audit.add(ClassSampler(pool, NWayKShot(5, 1, 1), 0).range(0, 20).classes)
    with pytest.raises(LeakageError, match=r"1 of the 2 classes in the test episodes .* 'class 3'"):
        audit.check(["class 3", "another"], split="test")


def test_disjoint_classes_pass() -> None:
    audit = LeakageAudit(["a", "b"])
    audit.add(torch.tensor([[0, 1]]))
    audit.check(["c", "d"], split="test")


def test_a_shared_class_that_was_not_drawn_is_no_leak() -> None:
    audit = LeakageAudit(["a", "b", "c"])
    audit.add(torch.tensor([0, 2]))
    audit.check(["b"], split="validation")


def test_an_audit_that_saw_no_class_finds_no_leak() -> None:
    audit = LeakageAudit([])
    audit.add(torch.empty(3, 0, dtype=torch.int64))
    audit.check(["a"], split="test")
    assert audit.seen == set()


@given(st.lists(st.lists(st.integers(0, 19), max_size=8), max_size=5), st.sets(st.integers(0, 29)))
def test_a_leak_is_found_exactly_if_a_class_was_both_seen_and_held_out(
    batches: list[list[int]], drawn: set[int]
) -> None:
    audit = LeakageAudit([f"c{i}" for i in range(20)])
    for batch in batches:
        audit.add(torch.tensor(batch, dtype=torch.int64))
    seen = {i for batch in batches for i in batch}
    assert audit.seen == {f"c{i}" for i in seen}
    held_out = [f"c{i}" for i in sorted(drawn)]
    if seen & drawn:
        with pytest.raises(LeakageError, match=f"^{len(seen & drawn)} of the {len(drawn)} classes"):
            audit.check(held_out, split="test")
    else:
        audit.check(held_out, split="test")


def test_a_rotated_character_counts_as_its_origin() -> None:
    audit = LeakageAudit(["Greek/alpha", "Greek/alpha", "Greek/beta", "Greek/beta"])
    audit.add(torch.tensor([1]))
    assert audit.seen == {"Greek/alpha"}
    with pytest.raises(LeakageError, match="Greek/alpha"):
        audit.check(["Greek/alpha"], split="test")
    audit.check(["Greek/beta"], split="test")


def test_a_restored_audit_knows_the_classes_seen_before() -> None:
    audit = LeakageAudit(["a", "b", "c"])
    audit.add(torch.tensor([2]))
    resumed = LeakageAudit(["a", "b", "c"])
    resumed.load_state_dict(audit.state_dict())
    resumed.add(torch.tensor([0]))
    assert resumed.seen == {"a", "c"}
    assert audit.seen == {"c"}
