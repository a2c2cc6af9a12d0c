"""Adversarial robustness: attacks on queries, on support sets, and by poisoning.

``gradient_attacks`` and ``square_attack`` are the attacks; ``query_attacks`` runs them on episodes,
``through_adaptation`` and ``poisoning`` attack the support set, and ``reliability``
distinguishes robust methods from those that only mask their gradients.
"""
