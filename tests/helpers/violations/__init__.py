"""Algorithms that each violate one check of the conformance kit."""

from metabench import Algorithm
from tests.helpers.violations import contract, gradients, independence, resources

VIOLATIONS: dict[str, list[type[Algorithm]]] = {
    **contract.VIOLATIONS,
    **independence.VIOLATIONS,
    **gradients.VIOLATIONS,
    **resources.VIOLATIONS,
}
"""Algorithms by the check that they violate, in the order of the checks."""
