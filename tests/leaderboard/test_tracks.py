"""The tracks of a leaderboard: each is ranked by itself, in tables of its own."""

import json
from typing import Any, ClassVar

from metabench.leaderboard.build import build
from metabench.leaderboard.pages import summary
from metabench.records.schema import Record, TrackEvidence
from metabench.report.columns import best_algorithms, columns_of, levels_by_track
from metabench.report.data import gather
from tests.helpers.cells import make_record, with_seeds


def on_track(
    name: str, scores: tuple[float, ...], track: str | None, seed: int = 0, **evidence: Any
) -> Record:
    found = TrackEvidence(queries=10, changed=0.5, **evidence) if track else None
    return make_record(name, scores, seed=seed, track=track, track_evidence=found)


class TestTracks:
    RECORDS: ClassVar = (
        on_track("batch", (1.0, 1.0), "transductive", inductive_score=0.6, unbalanced_score=0.7),
        on_track("support", (0.5, 0.75), "inductive"),
        on_track("worse", (0.25, 0.0), "inductive"),
    )

    def test_each_track_is_ranked_by_itself(self) -> None:
        rows = build(with_seeds(*self.RECORDS)).rows
        assert [(r.algorithm, r.track) for r in rows] == [
            ("support", "inductive"),
            ("worse", "inductive"),
            ("batch", "transductive"),
        ]
        first = {row.track: row.rank for row in reversed(rows)}
        assert first == {"inductive": 1, "transductive": 1}

    def test_no_table_has_rows_of_both_tracks(self) -> None:
        inductive, transductive = build(self.RECORDS).render("markdown").split("\n\n### ")
        assert inductive.startswith("### blobs-3w1s@1, inductive: accuracy")
        assert transductive.startswith("blobs-3w1s@1, transductive: accuracy")
        assert "batch" not in inductive
        assert "support" not in transductive

    def test_beside_a_transductive_method_stand_its_other_scores(self) -> None:
        board = build(self.RECORDS)
        inductive, transductive = board.render("markdown").split("\n\n### ")
        assert "60.00 %" in transductive
        assert "70.00 %" in transductive
        assert "unbalanced" not in inductive
        row = json.loads(board.render("json"))[-1]
        assert (row["track"], row["inductive_score"]) == ("transductive", 0.6)
        assert row["unbalanced_score"] == 0.7

    def test_they_are_not_shown_beside_another_metric(self) -> None:
        record = self.RECORDS[0].model_copy(deep=True)
        record.metrics["other"] = record.metrics["accuracy"].model_copy()
        (row,) = build([record], metric="other").rows
        assert row.inductive_score is row.unbalanced_score is None

    def test_one_transductive_seed_makes_the_row_transductive(self) -> None:
        seeds = [
            on_track("a", (0.5, 0.5), "inductive"),
            on_track("a", (0.5, 0.5), "transductive", seed=1, inductive_score=0.25),
        ]
        (row,) = build(seeds).rows
        assert (row.track, row.inductive_score) == ("transductive", 0.25)

    def test_a_row_whose_track_is_only_declared_says_so(self) -> None:
        reason = "it predicts the same queries differently when it is asked twice"
        record = on_track("noisy", (0.5, 0.5), "inductive", reason=reason)
        board = build([record, self.RECORDS[1]])
        reasons = {row.algorithm: row.reason for row in board.rows}
        assert reasons == {"noisy": f"its track is declared: {reason}", "support": ""}
        assert "ok: its track is declared" in board.render("markdown")

    def test_rows_whose_track_was_not_measured_have_a_table_of_their_own(self) -> None:
        rows = build([*self.RECORDS, make_record("old")]).rows
        first = rows[0]
        assert (first.algorithm, first.track) == ("old", None)
        heading = build([make_record("old")]).render("markdown").partition("\n")[0]
        assert heading.startswith("### blobs-3w1s@1: accuracy")

    def test_the_summary_marks_the_transductive_rows(self) -> None:
        lines = summary(build(self.RECORDS)).splitlines()[2:]
        names = [line.split("|")[1].strip() for line in lines]
        assert names == ["support", "worse", "batch (transductive)"]

    def test_the_report_ranks_each_track_by_itself(self) -> None:
        (results,) = gather(with_seeds(*self.RECORDS)).benchmarks
        columns = {column.title: column.cells for column in columns_of(results)}
        assert [cell.text for cell in columns["track"]] == [
            "inductive",
            "inductive",
            "transductive",
        ]
        assert [cell.text for cell in columns["inductive (%)"]] == ["", "", "60.00"]
        assert [cell.text for cell in columns["unbalanced (%)"]] == ["", "", "70.00"]
        order = [cell.order or 0 for cell in columns["rank"]]
        assert order == sorted(order)
        assert order[-1] > len(results.rows)
        inductive, transductive = levels_by_track(results.rows).split(". ")
        assert inductive.startswith("inductive: This table tells apart")
        assert inductive.endswith("among 2 ranked algorithms")
        assert (
            transductive == "transductive: This table tells apart 1 level among 1 ranked algorithm."
        )

    def test_the_report_marks_the_best_of_a_track_if_another_of_it_is_told_apart(self) -> None:
        scores = (0.8, 0.9) * 25
        apart = [on_track(n, s, "inductive") for n, s in (("a", scores), ("b", (0.1, 0.2) * 25))]
        alone = on_track("batch", scores, "transductive")
        (results,) = gather(with_seeds(*apart, alone)).benchmarks
        assert best_algorithms(results.rows) == {"a"}
