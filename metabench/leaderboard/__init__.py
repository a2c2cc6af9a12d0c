"""Leaderboards: pure functions of stored records."""
