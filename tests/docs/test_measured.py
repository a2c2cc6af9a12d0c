"""The rows of the leaderboards that the page of an algorithm shows."""

from metabench.leaderboard.build import build
from metabench.leaderboard.rows import LeaderboardRow
from metabench.records.schema import Record, Training
from tests.helpers.cells import make_record, with_seeds
from tests.helpers.doc_tables import measured

SCORES = tuple([0.5, 0.75] * 30)
TRAINING = Training(examples=48_000, steps=600, seconds=1234.5)


def shown(algorithm: str, **boards: list[Record]) -> list[list[str]]:
    """Returns the cells of each row in the table of an algorithm, without the head."""

    def rows(board: str) -> tuple[LeaderboardRow, ...]:
        return tuple(build(boards.get(board, [])).rows)

    lines = measured(algorithm, rows).splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_ranked_row_has_track_rank_score_seeds_and_the_cost_of_training() -> None:
    records = [
        *with_seeds(make_record("maml", SCORES, training=TRAINING, track="inductive")),
        *with_seeds(make_record("random", tuple([0.25] * 60), track="inductive")),
    ]
    (row,) = shown("maml", core=records)
    assert row[0] == "[core](../../leaderboards/core/README.md)"
    assert row[3:] == ["inductive", "1", "62.50 ± 3.26 %", "3", "48,000", "1,234"]


def test_a_row_of_one_seed_is_provisional() -> None:
    (row,) = shown("maml", core=[make_record("maml", SCORES)])
    assert row[3:5] == ["not measured", "provisional"]


def test_rows_are_in_the_order_of_the_boards_and_then_of_their_benchmarks() -> None:
    def record(name: str) -> Record:
        return make_record("maml", SCORES, benchmark={"name": name})

    rows = shown(
        "maml",
        sinusoid=[record("sinusoid-5s-long")],
        omniglot=[record("omniglot-20w1s"), record("omniglot-5w1s")],
        core=[record("glyphs-5w1s")],
        ci=[record("ci-glyphs-5w1s")],
    )
    names = ["glyphs-5w1s@1", "omniglot-5w1s@1", "omniglot-20w1s@1", "sinusoid-5s-long@1"]
    assert [row[1] for row in rows] == names


def test_a_row_with_overridden_settings_or_another_recipe_is_not_shown() -> None:
    changed = make_record("maml", SCORES, hyperparameters={"inner_lr": 0.5})
    overridden = changed.algorithm.model_copy(update={"overrides": {"inner_lr": 0.5}})
    other = make_record("maml", SCORES)
    paper = other.algorithm.model_copy(update={"recipe": "paper"})
    records = [
        changed.model_copy(update={"algorithm": overridden}),
        other.model_copy(update={"algorithm": paper}),
    ]
    assert measured("maml", lambda board: tuple(build(records).rows)) == (
        "No leaderboard has a row of it with its default recipe."
    )


def test_a_skipped_cell_is_a_row_without_a_score() -> None:
    skipped = make_record(
        "protonet",
        None,
        status="skipped",
        reason="not applicable",
        benchmark={"test_episodes": len(SCORES)},
    )
    (row,) = shown("protonet", core=[make_record("maml", SCORES), skipped])
    assert row[3:] == ["", "skipped", "", "", "", ""]
