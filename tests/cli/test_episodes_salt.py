"""``metabench run --episodes-salt``."""

from pathlib import Path

import pytest

from metabench.benchmarks.salt import salt_digest
from tests.helpers.cells import records_in

SALT = "a maintainer's secret"


@pytest.mark.usefixtures("in_process")
class TestEpisodesSalt:
    def test_compare_says_whether_the_public_score_holds(
        self, metabench, suite: Path, here: Path
    ) -> None:
        assert metabench("run", "-a", "drifter", "--suite", suite).code == 0
        command = ("run", "-a", "drifter", "--suite", suite, "--results", "salted")
        ended = metabench(*command, "--episodes-salt", SALT)
        assert ended.code == 0, ended.err
        title = f"blobs-3w1s@1+salt-{salt_digest(SALT)[:8]}"
        assert ended.out.startswith(f"{title}, inductive: accuracy")
        assert SALT not in ended.out + ended.err
        compared = metabench("compare", "results", "salted")
        assert "the public score holds" in compared.out

    def test_the_environment_can_hold_the_salt(
        self, metabench, suite: Path, here: Path, monkeypatch
    ) -> None:
        monkeypatch.setenv("METABENCH_EPISODES_SALT", SALT)
        ended = metabench("run", "-a", "drifter", "--suite", suite)
        assert ended.code == 0, ended.err
        record = records_in(here / "results")["drifter"]
        assert record.benchmark.episodes_salt == salt_digest(SALT)

    def test_a_short_salt_is_a_usage_error(self, metabench, suite: Path) -> None:
        ended = metabench("run", "-a", "drifter", "--suite", suite, "--episodes-salt", "1234")
        assert ended.code == 2
        assert "the salt of the episodes has 4 characters, and could be guessed." in ended.err
        assert "Use at least 12" in ended.err

    def test_a_table_of_public_records_has_no_salted_one(
        self, metabench, suite: Path, here: Path
    ) -> None:
        command = ("run", "-a", "drifter", "--suite", suite)
        metabench(*command)
        metabench(*command, "--episodes-salt", SALT)
        ended = metabench("leaderboard")
        assert ended.code == 0, ended.err
        assert "+salt" not in ended.out
        assert "drifter@1" in ended.out
