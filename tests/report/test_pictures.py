"""The pictures of the episodes, or why there are none."""

from pathlib import Path

from metabench.plugins import installed_plugins
from metabench.report.pictures import Picture, pictures_of
from tests.helpers.cells import made_record

GLYPHS = {"dataset": "glyphs", "ways": 5, "shots": 1, "queries": 15}


def drawn(
    benchmark: dict[str, object], data: Path | None = None, **changes: object
) -> list[Picture] | str:
    record = made_record(benchmark=benchmark, **changes)
    return pictures_of(record.benchmark, [record], installed_plugins().registry, data)


def test_the_first_episodes_are_drawn_the_same_every_time() -> None:
    pictures = drawn(GLYPHS | {"test_episodes": 2})
    assert [type(picture) for picture in pictures] == [Picture, Picture]
    assert pictures == drawn(GLYPHS | {"test_episodes": 2})
    assert pictures[0].source != pictures[1].source
    assert pictures[0].source.startswith("data:image/png;base64,")
    assert (pictures[0].width, pictures[0].height) == (4 * 30 + 6, 5 * 30)


def test_other_data_than_those_of_the_records_are_not_shown() -> None:
    assert "not the one that the records were made with" in drawn(GLYPHS, data_digest="d" * 64)


def test_missing_data_are_said_without_a_folder_of_this_machine(tmp_path: Path) -> None:
    said = drawn(GLYPHS | {"dataset": "omniglot"}, data=tmp_path)
    assert said == "The data set 'omniglot' could not be opened where this page was made."
    assert "could not be opened" in drawn(GLYPHS | {"dataset": "nobody's"})


def test_a_record_cannot_have_data_opened_with_any_options_or_of_any_size() -> None:
    for odd in ({"dataset_options": {"root": "/etc"}}, {"ways": 10**9}):
        assert "of no installed suite" in drawn(GLYPHS | odd)


def test_functions_are_no_pictures() -> None:
    assert "functions, and no pictures" in drawn({"dataset": "sinusoid", "ways": 0})
