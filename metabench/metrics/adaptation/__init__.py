"""Adaptation speed: the score by inner steps, by milliseconds and by shots."""
