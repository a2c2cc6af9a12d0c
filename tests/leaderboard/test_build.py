"""The leaderboard: a pure function of stored records."""

import csv
import io
import json
import random
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabench.errors import ResultsError
from metabench.leaderboard.build import Leaderboard, build
from metabench.leaderboard.rows import LeaderboardRow
from metabench.records.schema import Record, Training
from metabench.stats import t_interval
from tests.helpers.cells import make_record, with_seeds
from tests.helpers.formats import FORMATS

DOCUMENTED = {
    "benchmark",
    "algorithm",
    "status",
    "track",
    "rank",
    "rank_low",
    "rank_high",
    "provisional",
    "score",
    "ci95",
    "episodes",
    "seeds",
    "episode_digest",
    "train_examples",
}


def rows_of(*records: Record) -> dict[str, LeaderboardRow]:
    return {row.algorithm: row for row in build(records).rows}


EPISODES = 12


def constant(algorithm: str, score: float, **more: Any) -> Record:
    """A record with one score in every episode, so that any two are told apart."""
    return make_record(algorithm, (score,) * EPISODES, **more)


def ranks_of(*records: Record) -> list[tuple[str, int | None, int | None]]:
    """Returns the label and the rank interval of each row, from three seeds each."""
    rows = build(with_seeds(*records)).rows
    return [(row.algorithm, row.rank_low, row.rank_high) for row in rows]


class TestRanks:
    def test_the_best_is_first_and_equal_scores_share_an_interval(self) -> None:
        records = [
            constant("a", 0.5),
            constant("b", 0.9),
            constant("c", 0.5),
            constant("d", 0.1),
        ]
        assert ranks_of(*records) == [("b", 1, 1), ("a", 2, 3), ("c", 2, 3), ("d", 4, 4)]

    def test_algorithms_that_the_episodes_do_not_tell_apart_share_an_interval(self) -> None:
        close = [0.5 + 0.01 * (-1) ** i for i in range(EPISODES)]
        found = ranks_of(
            constant("a", 0.5), make_record("b", (*close[:-1], 0.6)), constant("c", 0.1)
        )
        assert found == [("b", 1, 2), ("a", 1, 2), ("c", 3, 3)]

    def test_a_gap_within_the_variation_between_seeds_is_no_rank(self) -> None:
        steady = [constant("a", 0.50 + 0.0001 * seed, seed=seed) for seed in range(3)]
        varies = [constant("b", 0.48 + 0.04 * seed, seed=seed) for seed in range(3)]
        rows = {row.algorithm: row for row in build([*steady, *varies]).rows}
        assert (rows["b"].rank_low, rows["b"].rank_high) == (1, 2)
        assert 0.5 < rows["b"].beats["a"] < 0.95
        assert rows["b"].beats["a"] + rows["a"].beats["b"] == pytest.approx(1.0)

    @pytest.mark.parametrize("seeds", [1, 2])
    def test_fewer_than_three_seeds_are_provisional_and_do_not_rank_others(
        self, seeds: int
    ) -> None:
        few = with_seeds(constant("few", 0.9), seeds=seeds)
        rows = build([*few, *with_seeds(constant("a", 0.5), constant("b", 0.1))]).rows
        assert [(r.algorithm, r.rank, r.provisional) for r in rows] == [
            ("few", None, True),
            ("a", 1, False),
            ("b", 2, False),
        ]
        assert rows[0].rank_low is rows[0].rank_high is rows[0].level is None
        assert rows[0].beats == {}

    def test_a_table_states_how_many_levels_it_tells_apart(self) -> None:
        records = with_seeds(constant("a", 0.5), constant("b", 0.9), constant("c", 0.5))
        text = "This table tells apart 2 levels among 3 ranked algorithms."
        for form in FORMATS:
            assert (text in build(records).render(form)) == (form not in ("json", "csv"))
        assert "tells apart" not in build(records[:1]).render("table")

    def test_a_table_shows_the_interval_and_the_probability_to_beat_the_next(self) -> None:
        board = build([*with_seeds(constant("a", 0.5), constant("b", 0.9)), constant("c", 0.1)])
        cells = [line.split("|")[1:5] for line in board.render("markdown").splitlines()[4:9]]
        shown = [[cell.strip() for cell in line] for line in cells]
        assert [line[0] for line in shown[2:]] == ["1", "2", "provisional"]
        assert "100 %" in board.render("markdown")

    def test_quick_runs_have_no_ranks(self) -> None:
        quick = [constant(name, k, benchmark={"quick": True}) for name, k in (("a", 0.5), ("b", 1))]
        rows = build(with_seeds(*quick), quick=True).rows
        assert [(r.algorithm, r.rank, r.rank_low, r.level) for r in rows] == [
            ("b", None, None, None),
            ("a", None, None, None),
        ]

    def test_the_lowest_error_is_first(self) -> None:
        low, high = (
            constant(n, s, metric="mse", direction="lower") for n, s in (("x", 1.5), ("y", 3.5))
        )
        assert ranks_of(high, low) == [("x", 1, 1), ("y", 2, 2)]

    @given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=8), st.randoms())
    def test_ranks_follow_the_scores_for_any_order_of_the_records(
        self, scores: list[float], mixer
    ) -> None:
        records = with_seeds(*(constant(f"a{i}", s) for i, s in enumerate(scores)))
        mixer.shuffle(records)
        rows = build(records).rows
        for row in rows:
            assert row.rank == row.rank_low == 1 + sum(other.score > row.score for other in rows)
            assert row.rank_high == sum(other.score >= row.score for other in rows)
        assert all(a.rank <= b.rank for a, b in pairwise(rows))

    def test_each_benchmark_is_ranked_and_they_are_in_natural_order(self) -> None:
        small, large = {"name": "glyphs-5w1s"}, {"name": "glyphs-20w1s"}
        rows = build(
            with_seeds(make_record("a", benchmark=large), make_record("a", benchmark=small))
        ).rows
        assert [(r.benchmark, r.rank) for r in rows] == [
            ("glyphs-5w1s@1", 1),
            ("glyphs-20w1s@1", 1),
        ]

    def test_failed_rows_are_last_with_their_reason(self) -> None:
        rows = build(
            [
                make_record("aa", None, status="timeout", reason="it took longer than 5 s\nmore"),
                *with_seeds(make_record("zz", (0.1, 0.2))),
                make_record("bb", None, status="skipped", reason="it classifies"),
            ]
        ).rows
        assert [(r.algorithm, r.status, r.rank, r.provisional) for r in rows] == [
            ("zz", "ok", 1, False),
            ("aa", "timeout", None, False),
            ("bb", "skipped", None, False),
        ]
        assert rows[1].reason == "it took longer than 5 s"
        assert rows[1].score is None

    def test_failures_alone_render_in_every_format(self) -> None:
        board = build([make_record("a", None, reason="it broke")])
        for form in FORMATS:
            assert "it broke" in board.render(form)


class TestSeeds:
    def test_the_score_is_the_mean_over_seeds_and_seed_sd_their_spread(self) -> None:
        row = rows_of(
            make_record(scores=(0.0, 0.4), seed=0), make_record(scores=(0.2, 0.6), seed=1)
        )["maml"]
        assert row.seeds == 2
        assert row.episodes == 2
        assert row.score == pytest.approx(0.3)
        assert row.seed_sd == pytest.approx(0.2 / 2**0.5)
        assert row.ci95 == pytest.approx(t_interval([0.1, 0.5]).half_width)

    def test_one_seed_has_no_spread(self) -> None:
        assert rows_of(make_record())["maml"].seed_sd is None

    def test_a_failed_seed_is_counted_and_does_not_change_the_score(self) -> None:
        good = with_seeds(make_record(scores=(0.2, 0.4)))
        row = rows_of(*good, make_record(scores=None, seed=3, reason="it broke"))["maml"]
        assert (row.status, row.seeds, row.reason) == ("failed (1 of 4 seeds)", 3, "it broke")
        assert row.score == pytest.approx(0.3)
        assert row.rank == 1

    def test_overridden_hyper_parameters_are_a_row_of_their_own(self) -> None:
        chosen = make_record(scores=(0.9, 0.9))
        chosen.algorithm.overrides = {"inner_lr": 0.1}
        assert set(rows_of(make_record(), chosen)) == {"maml", "maml[inner_lr=0.1]"}

    def test_costs_are_medians_over_the_seeds(self) -> None:
        costs = [
            {"adapt_ms": ms, "parameters": 7, "peak_process_mb": 9.0} for ms in (1.0, 2.0, 30.0)
        ]
        records = [
            make_record(seed=i, cost=c, benchmark={"metrics": ("accuracy", "cost")})
            for i, c in enumerate(costs)
        ]
        row = rows_of(*records)["maml"]
        assert (row.adapt_ms, row.parameters, row.peak_mb, row.predict_ms) == (2.0, 7, 9.0, None)


class TestLeftOut:
    def test_quick_records_are_left_out_and_counted(self) -> None:
        board = build([make_record("a"), make_record("b", benchmark={"quick": True})])
        assert [r.algorithm for r in board.rows] == ["a"]
        assert board.left_out == ["1 record of --quick runs"]

    def test_quick_records_can_be_ranked_alone(self) -> None:
        board = build([make_record("a"), make_record("b", benchmark={"quick": True})], quick=True)
        assert [r.algorithm for r in board.rows] == ["b"]

    def test_the_newest_record_of_a_cell_counts(self) -> None:
        old = make_record(scores=(0.1, 0.1), hyperparameters={"lr": 1.0})
        new = make_record(
            scores=(0.9, 0.9), hyperparameters={"lr": 2.0}, finished="2026-02-01T00:00:00+00:00"
        )
        for records in ([old, new], [new, old]):
            board = build(records)
            assert board.rows[0].score == 0.9
            assert len(board.left_out) == 1

    def test_an_ok_record_supersedes_a_later_failure(self) -> None:
        board = build(
            [make_record(), make_record(scores=None, finished="2026-02-01T00:00:00+00:00")]
        )
        assert [r.status for r in board.rows] == ["ok"]

    @pytest.mark.parametrize(
        "change", [{"version": "2"}, {"hyperparameters": {"lr": 2.0}}, {"data_digest": "other"}]
    )
    def test_all_seeds_of_a_row_have_the_newest_configuration(self, change: dict) -> None:
        later = "2026-02-01T00:00:00+00:00"
        old = [make_record(scores=(0.1, 0.1), seed=seed) for seed in (0, 1, 2)]
        new = [make_record(scores=(0.9, 0.9), seed=0, finished=later, **change)]
        board = build(old + new)
        assert [(r.score, r.seeds) for r in board.rows] == [(0.9, 1)]
        assert board.left_out == ["3 records superseded by later ones of the same algorithm"]

    def test_algorithms_of_two_distributions_are_not_mixed(self) -> None:
        mine, yours = make_record(scores=(0.1, 0.1), seed=0), make_record(scores=(0.9, 0.9), seed=1)
        yours.algorithm.distribution, yours.finished = "other", "2026-02-01T00:00:00+00:00"
        assert [(r.score, r.seeds) for r in build([mine, yours]).rows] == [(0.9, 1)]


TWO_BUDGETS = [
    make_record("whole", hyperparameters={"budget": 480}),
    make_record("low", (0.5, 1.0), hyperparameters={"budget": 100}),
]


class TestBudget:
    def test_a_board_has_no_row_of_another_budget_and_says_so(self) -> None:
        board = build(TWO_BUDGETS)
        assert [row.algorithm for row in board.rows] == ["whole"]
        assert board.left_out == ["1 record trained with another budget than that of the benchmark"]
        assert board.rejected == []

    def test_all_rows_may_be_left_out(self) -> None:
        assert build(TWO_BUDGETS[1:]).rows == []

    def test_a_users_own_table_can_have_any_budget(self) -> None:
        rows = build(TWO_BUDGETS, any_budget=True).rows
        assert [row.algorithm for row in rows] == ["low", "whole"]

    def test_the_examples_of_training_are_in_the_table(self) -> None:
        trained = make_record(training=Training(examples=1_234, steps=1, seconds=2.0))
        board = build([trained])
        assert "1,234" in board.render("table")
        assert json.loads(board.render("json"))[0]["train_examples"] == 1_234


class TestConflicts:
    def test_two_versions_of_a_benchmark_are_an_error(self) -> None:
        with pytest.raises(ResultsError, match="blobs-3w1s@1 and blobs-3w1s@2"):
            build([make_record("a"), make_record("b", benchmark={"version": "2"})])

    def test_two_definitions_without_a_majority_are_an_error(self) -> None:
        with pytest.raises(
            ResultsError, match="different benchmark definitions: budget was 480 and is 7"
        ):
            build([make_record("a"), make_record("b", benchmark={"budget": 7})])

    def test_two_sets_of_episodes_without_a_majority_are_an_error(self) -> None:
        with pytest.raises(ResultsError, match="different test episodes"):
            build([make_record("a"), make_record("b", episode_digest="f" * 64)])


class Tags(HTMLParser):
    """Collects the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.found.append(tag)


HOSTILE = "a|b<script>alert(1)</script>_%&$#{}\\"


class TestFormats:
    @pytest.fixture
    def board(self) -> Leaderboard:
        cost = {"adapt_ms": 1.5, "predict_ms": 123.4, "peak_process_mb": 200.0, "parameters": 10}
        with_cost = {"metrics": ("accuracy", "cost")}
        return build(
            [
                make_record("maml", (0.25, 0.75), cost=cost, benchmark=with_cost),
                make_record(HOSTILE, (0.5, 0.6), cost=cost, benchmark=with_cost),
                make_record("worst", None, reason="a|b <i>it</i> broke", benchmark=with_cost),
            ]
        )

    def test_json_has_the_documented_keys(self, board: Leaderboard) -> None:
        rows = json.loads(board.render("json"))
        assert all(row.keys() >= DOCUMENTED for row in rows)
        assert [row["algorithm"] for row in rows] == [HOSTILE, "maml", "worst"]
        assert rows[1]["score"] == 0.5
        assert rows[2]["score"] is None

    def test_csv_can_be_read_back(self, board: Leaderboard) -> None:
        rows = list(csv.DictReader(io.StringIO(board.render("csv"))))
        assert [row["algorithm"] for row in rows] == [HOSTILE, "maml", "worst"]
        assert float(rows[1]["score"]) == 0.5

    def test_every_line_of_a_markdown_table_has_as_many_columns(self, board: Leaderboard) -> None:
        blocks = [block.splitlines() for block in board.render("markdown").split("\n\n")]
        tables = [lines for lines in blocks if lines[0].startswith("|")]
        assert [len(lines) for lines in tables] == [5, 5]
        for lines in tables:
            assert len({line.replace("\\|", "").count("|") for line in lines}) == 1

    def test_extra_costs_alone_are_shown_in_every_format_but_a_terminal(
        self, board: Leaderboard
    ) -> None:
        for form in ("markdown", "html", "latex"):
            assert "parameters" in board.render(form)
        assert "parameters" not in board.render("table")

    def test_html_escapes_names(self, board: Leaderboard) -> None:
        tags = Tags()
        tags.feed(board.render("html"))
        assert {"table", "tr", "td", "h3"} <= set(tags.found)
        assert not {"script", "i"} & set(tags.found)

    def test_latex_escapes_special_characters(self, board: Leaderboard) -> None:
        text = board.render("latex")
        assert r"\toprule" in text
        assert r"\_\%\&\$\#\{\}" in text

    def test_a_table_shows_percents_with_the_interval(self, board: Leaderboard) -> None:
        text = board.render("table")
        assert "50.00 ± 317.66 %" in text  # two episodes give a wide interval
        assert "failed: a|b <i>it</i> broke" in text

    def test_an_empty_leaderboard_renders(self) -> None:
        empty = build([])
        for form in FORMATS:
            text = empty.render(form)
            assert json.loads(text) == [] if form == "json" else text.strip() == ""

    def test_the_text_does_not_depend_on_the_order_of_the_records(self) -> None:
        records = [
            make_record(f"a{i}", (i / 10, i / 10), seed=s) for i in range(4) for s in range(2)
        ]
        texts = set()
        for seed in range(5):
            random.Random(seed).shuffle(records)
            texts.add(build(records).render("json"))
        assert len(texts) == 1
