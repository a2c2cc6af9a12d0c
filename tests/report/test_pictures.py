"""Pictures of the episodes, or the reason that there are none."""

from pathlib import Path

from metabench.plugins import installed_plugins
from metabench.report.pictures import Picture, pictures_of
from tests.helpers.cells import make_record

GLYPHS = {"dataset": "glyphs", "ways": 5, "shots": 1, "queries": 15}


def drawn(
    benchmark: dict[str, object], data: Path | None = None, **changes: object
) -> list[Picture] | str:
    record = make_record(benchmark=benchmark, **changes)
    return pictures_of(record.benchmark, [record], installed_plugins().registry, data)


def test_the_first_episodes_are_drawn_reproducibly() -> None:
    pictures = drawn(GLYPHS | {"test_episodes": 2})
    assert [type(picture) for picture in pictures] == [Picture, Picture]
    assert pictures == drawn(GLYPHS | {"test_episodes": 2})
    assert pictures[0].source != pictures[1].source
    assert pictures[0].source.startswith("data:image/png;base64,")
    assert (pictures[0].width, pictures[0].height) == (4 * 30 + 6, 5 * 30)


def test_data_with_another_digest_are_not_shown() -> None:
    assert "not the one that the records were made with" in drawn(GLYPHS, data_digest="d" * 64)


def test_missing_data_are_reported_without_a_path(tmp_path: Path) -> None:
    reason = drawn(GLYPHS | {"dataset": "omniglot"}, data=tmp_path)
    assert reason == "The data set 'omniglot' could not be opened to make this page."
    assert "could not be opened" in drawn(GLYPHS | {"dataset": "nobody's"})


def test_a_record_cannot_open_data_with_arbitrary_options_or_size() -> None:
    for change in ({"dataset_options": {"root": "/etc"}}, {"ways": 10**9}):
        assert "No installed suite" in drawn(GLYPHS | change)


def test_functions_have_no_pictures() -> None:
    assert "functions, not images" in drawn({"dataset": "sinusoid", "ways": 0})
