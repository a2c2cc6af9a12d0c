"""Adversarial robustness: attacks on queries, on the support set and through adaptation."""
