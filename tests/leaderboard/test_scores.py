"""The spreads of a score, ranking by other metrics, rejected records and bold cells."""

import ast
import inspect
import itertools
from typing import Any

import numpy as np
import pytest

from metabench.errors import ResultsError, UnknownName
from metabench.leaderboard.build import build
from metabench.leaderboard.emphasis import MARKS, Emphasis
from metabench.leaderboard.pages import LEGEND, board_files
from metabench.leaderboard.rows import LeaderboardRow
from metabench.leaderboard.scores import clusters_of
from metabench.records.schema import MetricResult, Record
from metabench.stats import class_interval, t_interval
from tests.helpers.cells import make_record, with_seeds
from tests.helpers.formats import FORMATS

EPISODES, WAYS, QUERIES = 40, 3, 5


def of_classes(
    algorithm: str = "maml", *, chance: float = 0.7, seed: int = 0, **changes: Any
) -> Record:
    """A record that states the classes of its episodes."""
    rng = np.random.default_rng([seed, len(algorithm)])
    classes = np.argsort(np.random.default_rng(0).random((EPISODES, 20)))[:, :WAYS]
    hits = rng.binomial(QUERIES, chance, size=(EPISODES, WAYS))
    scores = tuple((hits.sum(1) / (WAYS * QUERIES)).tolist())
    definition = {"ways": WAYS, "queries": QUERIES}
    record = make_record(algorithm, scores, seed=seed, benchmark=definition, **changes)
    record.metrics["accuracy"].values = {"classes": classes.tolist(), "class_hits": hits.tolist()}
    return record


def with_metric(record: Record, name: str, episodes: list[float], **changes: Any) -> Record:
    fields: dict[str, Any] = {
        "version": "1",
        "direction": "lower",
        "unit": "share",
        "episodes": episodes,
    }
    record.metrics[name] = MetricResult(**fields | changes)
    return record


def ranks(*records: Record, metric: str = "") -> list[tuple[str, int | None]]:
    rows = build(with_seeds(*records), metric=metric).rows
    return [(row.algorithm, row.rank) for row in rows]


class TestSpreads:
    def test_episodes_classes_and_seeds_each_have_a_spread(self) -> None:
        records = [of_classes(seed=seed, chance=0.7 + 0.1 * seed) for seed in (0, 1)]
        (row,) = build(records).rows
        results = [r.metrics["accuracy"] for r in records]
        hits = np.mean([metric.values["class_hits"] for metric in results], axis=0)
        interval = class_interval(results[0].values["classes"], hits, queries=QUERIES)
        assert (row.class_low, row.class_high) == pytest.approx(
            (interval.low, interval.high), abs=1e-6
        )
        assert row.score == pytest.approx(interval.mean)
        assert row.ci95 == pytest.approx(t_interval(hits.sum(1) / (WAYS * QUERIES)).half_width)
        assert row.seed_sd == pytest.approx(np.std([np.mean(m.episodes) for m in results], ddof=1))
        heading = build(records).render("markdown").splitlines()[2]
        assert all(f"| {name} " in heading for name in ("accuracy", "new classes", "seed sd"))

    def test_empty_columns_are_left_out(self) -> None:
        text = build([make_record()]).render("table")
        assert "new classes" not in text
        assert "seed sd" not in text

    @pytest.mark.parametrize(
        "change",
        [
            {"class_hits": [[5, 5, 5]] * EPISODES},
            {"class_hits": [[1, 2]] * EPISODES},
            {"class_hits": [[1, 2, 3], [1]]},
            {"class_hits": "many"},
            {"classes": [[0.5, 1.5, 2.5]] * EPISODES},
            {"classes": [["<b>", None, {}]] * EPISODES},
            {"classes": [[10**30, 1, 2]] * EPISODES},
        ],
        ids=str,
    )
    def test_classes_that_contradict_the_scores_give_no_interval(self, change: dict) -> None:
        record = of_classes()
        record.metrics["accuracy"].values |= change
        (row,) = build([record]).rows
        assert (row.class_low, row.class_high) == (None, None)
        assert row.score is not None

    @pytest.mark.parametrize("key", ["class_groups", "class_origins"])
    def test_groups_and_origins_are_resampled_in_place_of_classes(self, key: str) -> None:
        record = of_classes()
        values = record.metrics["accuracy"].values
        clusters = np.array(values["classes"]) // 5
        values[key] = clusters.tolist()
        interval = class_interval(clusters, values["class_hits"], queries=QUERIES)
        (row,) = build([record]).rows
        assert (row.class_low, row.class_high) == pytest.approx((interval.low, interval.high))
        assert interval.clusters == 4

    def test_groups_go_before_origins(self) -> None:
        record = of_classes()
        values = record.metrics["accuracy"].values
        values["class_groups"] = (np.array(values["classes"]) // 5).tolist()
        values["class_origins"] = (np.array(values["classes"]) // 2).tolist()
        assert (
            clusters_of(record, "accuracy", np.array(values["classes"])).tolist()
            == values["class_groups"]
        )

    @pytest.mark.parametrize("clusters", [[[0, 1, 2]], [[0, 1, 2], [3, 4, 5]] * 20, "many"])
    def test_clusters_that_contradict_the_classes_give_no_interval(self, clusters) -> None:
        record = of_classes()
        record.metrics["accuracy"].values["class_groups"] = clusters
        assert build([record]).rows[0].class_low is None

    def test_the_interval_of_a_share_stays_within_0_and_1(self) -> None:
        record = make_record("a", (1.0,) * 19 + (0.5,))
        record.metrics["accuracy"].unit = "share"
        (row,) = build([record]).rows
        assert row.score + row.ci95 > 1 > row.ci95_high > row.score > row.ci95_low
        text = f"97.50 % ({100 * row.ci95_low:.2f} to {100 * row.ci95_high:.2f} %)"
        assert text in build([record]).render("table")

    def test_the_ranks_resample_the_groups_of_classes(self) -> None:
        """One algorithm is better on the classes of one group of four alone."""
        ranks_found = []
        for grouped in (False, True):
            records = [of_classes(name, chance=0.6) for name in ("worse", "better")]
            for record, more in zip(records, (0, 2), strict=True):
                metric = record.metrics["accuracy"]
                clusters = np.array(metric.values["classes"]) // 5
                hits = np.full(clusters.shape, 3) + more * (clusters == 0)
                metric.values["class_hits"] = hits.tolist()
                metric.episodes = (hits.sum(1) / (WAYS * QUERIES)).tolist()
                if grouped:
                    metric.values["class_groups"] = clusters.tolist()
                else:
                    del metric.values["classes"]
            ranks_found.append(ranks(*records))
        assert ranks_found == [[("better", 1), ("worse", 2)], [("better", 1), ("worse", 1)]]

    def test_seeds_with_different_classes_give_no_interval(self) -> None:
        one, other = of_classes(seed=0), of_classes(seed=1)
        other.metrics["accuracy"].values["classes"] = other.metrics["accuracy"].values["classes"][
            ::-1
        ]
        (row,) = build([one, other]).rows
        assert row.class_low is None
        assert row.seeds == 2

    def test_a_page_explains_ranks_and_spreads(self) -> None:
        page = board_files(build([of_classes()]), "board")["README.md"]
        assert LEGEND in page
        assert "interval of the ranks" in LEGEND


class TestOtherMetrics:
    def test_another_metric_ranks_in_its_own_direction(self) -> None:
        records = [
            with_metric(
                make_record(name, (0.5,) * 20), "noise", [drop + 0.001 * i for i in range(20)]
            )
            for name, drop in (("fragile", 0.4), ("robust", 0.1), ("like-robust", 0.1))
        ]
        assert ranks(*records, metric="noise") == [
            ("like-robust", 1),
            ("robust", 1),
            ("fragile", 3),
        ]
        (row, *_) = build(records, metric="noise").rows
        assert row.provisional
        assert (row.metric, row.direction, row.episodes) == ("noise", "lower", 20)
        assert row.ci95 is not None
        assert row.paper is None

    @pytest.mark.parametrize(
        ("metric", "order"),
        [
            ("adapt_ms", ["quick", "slow"]),
            ("ece", ["slow", "quick"]),
            ("worst_decile", ["quick", "slow"]),
        ],
    )
    def test_a_column_ranks_by_its_value(self, metric: str, order: list[str]) -> None:
        records = [
            make_record("slow", cost={"adapt_ms": 9.0}),
            make_record("quick", cost={"adapt_ms": 1.5}),
        ]
        for record, ece, worst in zip(records, (0.1, 0.2), (0.3, 0.4), strict=True):
            record.metrics["accuracy"].values = {"ece": ece, "worst_decile": worst}
        board = build(with_seeds(*records), metric=metric)
        assert [(r.algorithm, r.rank) for r in board.rows] == list(zip(order, (1, 2), strict=True))
        assert {(r.rank_low, r.rank_high) for r in board.rows} == {(None, None)}
        assert board.rows[0].ci95 is None
        assert f"blobs-3w1s@1: {metric}" in board.render("table")

    def test_an_unmeasured_row_is_last_with_its_reason(self) -> None:
        measured, other = with_metric(make_record("a"), "noise", [0.1, 0.2]), make_record("b")
        failed = make_record("c")
        failed.metrics["noise"] = MetricResult(
            version="1", direction="lower", unit="", status="failed", reason="it broke"
        )
        rows = build([failed, other, *with_seeds(measured)], metric="noise").rows
        assert [(r.algorithm, r.rank, r.reason) for r in rows] == [
            ("a", 1, ""),
            ("b", None, "noise was not measured"),
            ("c", None, "failed: it broke"),
        ]

    def test_rows_measured_differently_from_the_newest_are_not_ranked(self) -> None:
        new = with_metric(make_record("new"), "noise", [0.3, 0.4])
        new.finished = "2026-02-01T00:00:00+00:00"
        old = [
            with_metric(make_record("version"), "noise", [0.1, 0.2], version="0"),
            with_metric(make_record("direction"), "noise", [0.1, 0.2], direction="higher"),
            with_metric(make_record("fewer"), "noise", [0.1]),
            with_metric(
                make_record("options", benchmark={"metric_options": {"noise": {"x": 1}}}),
                "noise",
                [0.1, 0.2],
            ),
        ]
        rows = build([*old, *with_seeds(new)], metric="noise").rows
        assert [(r.algorithm, r.rank) for r in rows if r.rank] == [("new", 1)]
        assert all("other options" in r.reason for r in rows if not r.rank)

    def test_an_unknown_metric_is_an_error_that_lists_the_choices(self) -> None:
        with pytest.raises(UnknownName, match="unknown metric 'adapt_mss'") as caught:
            build([make_record()], metric="adapt_mss")
        assert "adapt_ms" in str(caught.value)


class TestRejected:
    def test_a_record_of_different_episodes_is_rejected_by_name(self) -> None:
        other = make_record("other", (0.9, 1.0), episode_digest="f" * 64)
        board = build([other, make_record("a"), make_record("b")])
        assert [row.algorithm for row in board.rows] == ["a", "b"]
        assert (
            board.rejected
            == board.left_out
            == [f"{other.file_name}: its test episodes differ from those of most records"]
        )

    @pytest.mark.parametrize("change", [{"version": "2"}, {"direction": "lower"}, {"unit": "%"}])
    def test_a_record_of_a_different_metric_is_rejected_by_name(self, change: dict) -> None:
        other = make_record("other", (0.9, 1.0))
        other.metrics["accuracy"] = other.metrics["accuracy"].model_copy(update=change)
        board = build([other, make_record("a"), make_record("b")])
        assert [row.algorithm for row in board.rows] == ["a", "b"]
        assert board.rejected == [
            f"{other.file_name}: its accuracy differs in version, direction or unit from that of "
            "most records"
        ]
        with pytest.raises(ResultsError, match=f"different accuracy metrics: {next(iter(change))}"):
            build([other, make_record("a")])

    @pytest.mark.parametrize("score", [7.0, -0.1, 1e120])
    def test_an_invalid_score_is_never_ranked(self, score: float) -> None:
        other = make_record("other", (0.5, score))
        board = build([other, make_record("a")])
        assert [row.algorithm for row in board.rows] == ["a"]
        assert board.rejected == [f"{other.file_name}: invalid accuracy {score:g} of an episode"]

    def test_a_metric_that_does_not_rank_may_be_negative(self) -> None:
        board = build([with_metric(make_record("a"), "loss", [-0.1, 0.2]), make_record("b")])
        assert [row.algorithm for row in board.rows] == ["a", "b"]
        assert board.rejected == []

    def test_a_huge_score_of_any_metric_is_rejected(self) -> None:
        other = with_metric(make_record("other"), "loss", [1e120, 0.2])
        assert build([other, make_record("b")]).rejected == [
            f"{other.file_name}: invalid loss 1e+120 of an episode"
        ]


class TestBold:
    @pytest.fixture
    def rows(self) -> list[Record]:
        records = [
            make_record(name, (score,) * 12)
            for name, score in (("a", 0.5), ("b", 0.75), ("c", 0.75))
        ]
        for record, ece in zip(records, (0.125, 0.25, 0.375), strict=True):
            record.metrics["accuracy"].values = {"ece": ece}
        return records

    @pytest.mark.parametrize("form", MARKS)
    def test_the_first_rank_and_the_best_of_a_column_are_bold(self, rows, form: str) -> None:
        before, after = MARKS[form]
        text = build(with_seeds(*rows)).render(form, ["ece"])
        percent = r"75.00 ± 0.00 \%" if form == "latex" else "75.00 ± 0.00 %"
        assert text.count(f"{before}{percent}{after}") == 2
        assert text.count(f"{before}0.12{after}") == 1
        assert text.count(before) == (6 if before == after else 3)

    @pytest.mark.parametrize("form", FORMATS)
    def test_equal_values_are_not_bold(self, form: str) -> None:
        text = build([make_record("a", (0.5,) * 12), make_record("b", (0.5,) * 12)]).render(form)
        assert not any(before in text for before, _ in MARKS.values())

    @pytest.mark.parametrize("form", FORMATS)
    def test_no_placeholder_is_left_in_the_text(self, rows, form: str) -> None:
        assert not {"\ue000", "\ue001"} & set(build(rows).render(form))

    def test_a_reason_is_never_bold(self) -> None:
        records = [make_record("a"), make_record("b")]
        records[0].metrics["shift"] = MetricResult(
            version="1", direction="lower", unit="", status="n/a", reason="no images"
        )
        records[1].metrics["shift"] = MetricResult(
            version="1", direction="lower", unit="", values={"query": {"mean_drop": 0.25}}
        )
        text = build(records).render("markdown")
        assert "| n/a " in text
        assert "**" not in text

    def test_a_failed_row_is_never_bold(self) -> None:
        assert "**" not in build(
            [make_record("a"), make_record("b", None, reason="it broke")]
        ).render("markdown")

    def test_a_placeholder_in_a_name_is_left_alone(self) -> None:
        assert Emphasis("html").apply("a\ue000b") == "a\ue000b"


def test_every_attribute_of_a_row_is_documented() -> None:
    (row,) = ast.parse(inspect.cleandoc(inspect.getsource(LeaderboardRow))).body
    assert isinstance(row, ast.ClassDef)
    documented = {
        field.target.id
        for field, below in itertools.pairwise(row.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(field.target, ast.Name)
    }
    assert set(LeaderboardRow.__dataclass_fields__) == documented
