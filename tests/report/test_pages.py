"""The pages as HTML: complete, and with all text of the records escaped."""

import re
from html.parser import HTMLParser

import pytest

from metabench.records.schema import Record
from metabench.report import gather, render_site
from metabench.report.pictures import Picture
from tests.helpers.cells import make_record, with_seeds
from tests.helpers.many_records import HOSTILE, full_records, hostile_record

PICTURE = Picture("data:image/png;base64,AAAA", 10, 20, "Test episode 0")
VOID = {"meta", "link", "img", "input", "br", "path", "rect"}


class Page(HTMLParser):
    """Parses a page into elements with attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID or (
            tag in ("path", "rect") and not self.get_starttag_text().endswith("/>")
        ):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def made_of(*records: Record, pictures: list[Picture] | str = "no pictures") -> dict[str, str]:
    return render_site(gather(records), lambda results: pictures)


def test_there_is_a_page_for_each_algorithm() -> None:
    pages = made_of(*full_records(), make_record("broken", None, benchmark={"test_episodes": 60}))
    names = ["broken", "maml", "nearest-mean", "protonet", "r2d2"]
    assert list(pages) == ["index.html", *(f"algorithms/{name}.html" for name in names)]
    maml = Page(pages["algorithms/maml.html"]).text
    for fact in ("inner_lr", "0.4", "2.13.0+cpu", "A CPU", "48,000", "adversarial"):
        assert fact in maml


def test_the_pages_do_not_depend_on_the_order_of_the_records() -> None:
    assert made_of(*full_records()) == made_of(*reversed(full_records()))


def test_every_chart_has_a_text_alternative_and_its_numbers() -> None:
    page = made_of(*full_records())["index.html"]
    charts = re.findall(r'<figure class="chart".*?</figure>', page, re.DOTALL)
    assert len(charts) == 10
    for chart in charts:
        found = Page(chart)
        (svg,) = [a for a in found.named("svg") if a.get("role") == "img"]
        labels = svg["aria-labelledby"].split()
        assert len(labels) == 2
        for label in labels:
            assert len(re.search(rf'id="{label}">([^<]+)<', chart).group(1)) > 10
        assert found.named("table")
        assert found.text.count("protonet") >= 2


def test_ids_are_unique_and_internal_links_have_a_target() -> None:
    records = [r for b in ("one", "two") for r in full_records(benchmark={"name": b})]
    pages = made_of(*records)
    for text in pages.values():
        page = Page(text)
        ids = [a["id"] for _, a in page.elements if "id" in a]
        assert len(ids) == len(set(ids))
        for link in page.named("a"):
            place, _, anchor = link["href"].partition("#")
            assert place in ("", "../index.html") or place in pages
            assert not anchor or place or anchor in ids


def test_failed_rows_are_last_with_their_reason() -> None:
    page = made_of(make_record("protonet"), make_record("broken", None, reason="it broke"))[
        "index.html"
    ]
    assert page.index("protonet</a>") < page.index("broken</a>")
    assert "failed: it broke" in page


def test_text_of_a_hostile_record_is_escaped_everywhere() -> None:
    pages = made_of(*full_records(), hostile_record())
    for name, text in pages.items():
        page = Page(text)
        assert page.named("script") == [{}]
        assert text.count("<script") == 1
        assert page.named("img") == []
        for _, attributes in page.elements:
            assert not [a for a in attributes if a.startswith("on") or a == "style"], name
            for place in ("href", "src"):
                assert not (attributes.get(place) or "").startswith(("javascript", "http", "//"))
    assert HOSTILE in Page(pages["index.html"]).text
    (own,) = [name for name in pages if "script" in name]
    assert re.fullmatch(r"algorithms/[a-z0-9-]+\.html", own)
    text = Page(pages[own]).text
    assert text.count(HOSTILE) > 5
    assert "{{ 7 * 7 }}" in text


def test_the_policy_permits_one_script_and_one_style_sheet() -> None:
    for text in made_of(*full_records()).values():
        (policy,) = [a["content"] for a in Page(text).named("meta") if a.get("http-equiv")]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert "http" not in policy
        addresses = re.findall(
            r"""(?:https?:)?//[^\s"'<]+""", re.sub(r"<script>.*?</script>", "", text, flags=re.S)
        )
        assert addresses == []


def test_pictures_are_embedded_or_their_absence_explained() -> None:
    page = Page(made_of(*full_records(), pictures=[PICTURE])["index.html"])
    assert page.named("img") == [
        {"src": PICTURE.source, "width": "10", "height": "20", "alt": "Test episode 0"}
    ]
    assert "the data are <not> here" in Page(
        made_of(*full_records(), pictures="the data are <not> here")["index.html"]
    ).text  # fmt: skip


def test_left_out_records_are_listed_on_the_page() -> None:
    invalid = make_record("invalid", (0.5, 9.0))
    page = Page(
        made_of(make_record("maml"), invalid, make_record("x", benchmark={"quick": True}))[
            "index.html"
        ]
    )
    assert f"{invalid.file_name}: invalid accuracy 9 of an episode" in page.text
    assert "1 record of --quick runs" in page.text


def test_a_benchmark_that_cannot_be_ranked_shows_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from metabench.errors import ResultsError
    from metabench.leaderboard import build as leaderboard

    def refuse(*arguments: object, **options: object) -> None:
        raise ResultsError("they cannot be compared")

    monkeypatch.setattr(leaderboard, "build", refuse)
    assert (
        "This benchmark is not ranked: they cannot be compared"
        in Page(made_of(make_record())["index.html"]).text
    )


def test_very_long_texts_are_shortened() -> None:
    long = make_record(
        "x" * 100_000, tuple([0.5, 0.6] * 30), reason="y" * 100_000, traceback="z" * 100_000
    )
    pages = made_of(*full_records(), long)
    assert max(map(len, pages.values())) < 400_000
    assert max(map(len, pages)) < 120


def test_a_regression_benchmark_shows_errors_lowest_first() -> None:
    cost = {"adapt_ms": 1.0, "predict_ms": 2.0}
    records = [
        make_record(name, (error, error + 0.1), metric="mse", direction="lower", cost=cost)
        for name, error in (("maml", 0.1), ("anil", 0.5))
    ]
    page = made_of(*records)["index.html"]
    assert page.index("maml</a>") < page.index("anil</a>")
    assert "mse against milliseconds of one episode" in page
    assert "accuracy" not in Page(page).text.lower()


def test_the_interval_of_a_share_stays_within_0_and_100_percent() -> None:
    record = make_record("a", (1.0,) * 19 + (0.5,))
    record.metrics["accuracy"].unit = "share"
    text = Page(made_of(record)["index.html"]).text
    assert re.search(r"97\.50\s*\(85\.80 to 99\.60\)", text)


def test_a_leaderboard_states_its_levels_and_marks_provisional_rows() -> None:
    records = [
        *with_seeds(make_record("a", (0.9,) * 12), make_record("b", (0.1,) * 12)),
        make_record("c", (0.5,) * 12),
    ]
    text = Page(made_of(*records)["index.html"]).text
    assert "This table tells apart 2 levels among 2 ranked algorithms." in text
    assert "provisional" in text
