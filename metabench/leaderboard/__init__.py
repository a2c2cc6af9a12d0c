"""The leaderboard: select -> score -> rank -> render, all pure functions of stored records."""
