"""The page in a browser: sorting, filtering, dark mode, a phone, and markup in names."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metabench.plugins import installed_plugins
from metabench.records.schema import Record
from metabench.report import gather, render_site, write_site
from metabench.report.pictures import pictures_of
from tests.helpers.cells import make_record, with_seeds
from tests.helpers.many_records import HOSTILE, METHODS, full_record, hostile_record

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("chromium is not installed", allow_module_level=True)

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
GLYPHS = {"dataset": "glyphs", "ways": 5, "shots": 1, "queries": 15, "test_episodes": 60}
SLOWEST_MS = 120_000  # a CI machine may be busy
pytestmark = pytest.mark.timeout(600)
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of five benchmarks, one with every chart, one with a failed and a hostile row."""
    glyphs, busy = GLYPHS | {"name": "glyphs-0"}, GLYPHS | {"name": "busy"}
    records = [
        full_record(name, level, ms + seed / 2 * (name == "maml"), seed=seed, benchmark=glyphs)
        for name, (level, ms) in METHODS.items()
        for seed in range(3)
    ]
    bare = [bare_record(f"method-{k}", k, busy) for k in range(12)]
    for name in ("busy", "bare-0", "bare-1", "bare-2"):
        bare += [
            bare_record(m, k, GLYPHS | {"name": name})
            for k, m in enumerate(("maml", "protonet", "r2d2"))
        ]
    records += with_seeds(*bare, hostile_record(benchmark=busy))
    records.append(make_record("broken", None, reason="it broke", benchmark=busy))
    out = tmp_path_factory.mktemp("report") / "site"
    registry = installed_plugins().registry
    pages = render_site(
        gather(records), lambda section: pictures_of(section.benchmark, [], registry, None)
    )
    write_site(pages, out)
    return out


def bare_record(name: str, k: int, benchmark: dict[str, Any]) -> Record:
    """A record with scores and costs only."""
    scores = tuple(0.5 + (k + i % 7) / 100 for i in range(60))
    return make_record(
        name, scores, cost={"adapt_ms": 1.0 + k, "predict_ms": 1.0}, benchmark=benchmark
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


class Recorder:
    """A page with all of its console messages, errors, dialogs and requests."""

    def __init__(self, browser: Any, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": DESKTOP} | options)
        self.context.set_default_timeout(SLOWEST_MS)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on(
            "dialog", lambda dialog: (self.problems.append(dialog.message), dialog.dismiss())
        )
        self.page.on("request", lambda request: self.requests.append(request.url))

    def column(self, board: Any, title: str) -> list[str]:
        """Returns the visible cells of a column from the top."""
        return board.evaluate(
            """(table, title) => {
                const titles = [...table.tHead.rows[0].cells].map((c) => c.textContent.trim());
                const at = titles.indexOf(title);
                const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
                return rows.map((row) => row.cells[at].innerText.trim());
            }""",
            title,
        )


@pytest.fixture
def watched(browser: Any, site: Path, request: pytest.FixtureRequest) -> Iterator[Recorder]:
    """The index page; the test fails on any message, error, dialog or network request."""
    watched = Recorder(browser, **getattr(request, "param", {}))
    watched.page.goto((site / "index.html").as_uri())
    yield watched
    assert watched.problems == []
    assert [url for url in watched.requests if not url.startswith(("file:", "data:"))] == []
    watched.context.close()


def board_of(watched: Recorder, benchmark: str) -> Any:
    return watched.page.locator(f"section[id='{benchmark}'] table.sortable")


def test_a_heading_sorts_by_number_and_reverses_on_the_next_click(watched: Recorder) -> None:
    board = board_of(watched, "glyphs-0@1")
    # The second and the third are not told apart.
    assert watched.column(board, "rank") == ["1", "2 to 3", "2 to 3", "4"]
    heading = board.locator("th", has_text="adapt ms")
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert watched.column(board, "adapt ms") == ["0.2", "1.3", "4", "24.5"]
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert watched.column(board, "adapt ms") == ["24.5", "4", "1.3", "0.2"]
    assert board.locator("th[aria-sort]").count() == 1


def test_a_heading_sorts_from_the_keyboard(watched: Recorder) -> None:
    board = board_of(watched, "glyphs-0@1")
    board.locator("th", has_text="algorithm").locator("button").focus()
    watched.page.keyboard.press("Enter")
    assert watched.column(board, "algorithm") == [
        "maml @1",
        "nearest-mean @1",
        "protonet @1",
        "r2d2 @1",
    ]
    watched.page.keyboard.press("Space")
    assert watched.column(board, "algorithm")[0] == "r2d2 @1"


def test_rows_without_a_number_stay_last(watched: Recorder) -> None:
    board = board_of(watched, "busy@1")
    button = board.locator("th", has_text="rank").locator("button")
    for _ in range(2):
        button.click()
        assert watched.column(board, "algorithm")[-1] == "broken @1"


def test_names_sort_in_natural_order(watched: Recorder) -> None:
    board = board_of(watched, "busy@1")
    board.locator("th", has_text="algorithm").locator("button").click()
    names = [n.split()[0] for n in watched.column(board, "algorithm") if n.startswith("method")]
    assert names == [f"method-{k}" for k in range(12)]


def test_filtering_hides_rows_and_their_curves_and_counts(watched: Recorder) -> None:
    section = watched.page.locator("section[id='glyphs-0@1']")
    section.locator(".filter").fill("mean")
    board = board_of(watched, "glyphs-0@1")
    assert watched.column(board, "algorithm") == ["nearest-mean @1"]
    assert section.locator(".count").inner_text() == "1 of 4 shown"
    attacks = section.locator("figure", has_text="radius of an attack")
    assert attacks.locator(".series:visible").count() == 1
    assert attacks.locator(".key:visible").count() == 1
    section.locator(".filter").fill("")
    assert len(watched.column(board, "algorithm")) == 4
    assert attacks.locator(".series:visible").count() == 4


def test_filtering_by_status(watched: Recorder) -> None:
    section = watched.page.locator("section[id='busy@1']")
    section.locator(".status").select_option("unranked")
    assert watched.column(board_of(watched, "busy@1"), "algorithm") == ["broken @1"]
    section.locator(".status").select_option("ranked")
    assert len(watched.column(board_of(watched, "busy@1"), "algorithm")) == 16


def test_a_legend_button_hides_its_curve(watched: Recorder) -> None:
    chart = watched.page.locator("section[id='glyphs-0@1'] figure", has_text="score by examples")
    key = chart.locator(".key", has_text="maml")
    before = chart.locator(".series:visible").count()
    key.click()
    assert key.get_attribute("aria-pressed") == "false"
    assert chart.locator(".series:visible").count() == before - 1
    key.click()
    assert chart.locator(".series:visible").count() == before


def test_every_chart_is_drawn(watched: Recorder) -> None:
    charts = watched.page.locator("section[id='glyphs-0@1'] figure.chart > svg")
    assert charts.count() == 10
    for chart in charts.all():
        width, height, marks, inside = chart.evaluate(
            """(svg) => {
                const box = svg.getBoundingClientRect();
                const markers = [...svg.querySelectorAll(".marker")];
                const marks = markers.map((m) => m.getBoundingClientRect());
                const inside = (m) => m.width > 0 && m.left >= box.left && m.right <= box.right
                    && m.top >= box.top && m.bottom <= box.bottom;
                return [box.width, box.height, marks.length, marks.filter(inside).length];
            }"""
        )
        assert width > 250
        assert height > 100
        assert marks == inside >= 3


def test_the_critical_difference_diagram_is_drawn(watched: Recorder) -> None:
    chart = watched.page.locator("#overview figure", has_text="Average ranks")
    assert chart.locator("svg .series").count() == 3
    names = chart.locator("svg .series .name").all_text_contents()
    assert sorted(names) == ["3.00 maml", "protonet 1.80", "r2d2 1.20"]


def test_the_pareto_front_is_drawn(watched: Recorder) -> None:
    chart = watched.page.locator(
        "section[id='glyphs-0@1'] figure", has_text="Accuracy against milliseconds"
    )
    assert chart.locator("path.front").bounding_box()["width"] > 20


def test_every_column_is_explained_without_hovering(
    watched: Recorder,
) -> None:
    section = watched.page.locator("section[id='glyphs-0@1']")
    section.get_by_text("How to read the columns").click()
    explained = section.locator("dl.long dt").all_inner_texts()
    headings = [
        text.strip() for text in section.locator("table.sortable thead th").all_inner_texts()
    ]
    assert explained == headings[1:-1]
    assert section.locator("dl.long dd", has_text="interval of the ranks").is_visible()


def test_the_episodes_are_pictures(watched: Recorder) -> None:
    images = watched.page.locator("section[id='glyphs-0@1'] .episodes img")
    assert images.count() == 3
    for image in images.all():
        assert image.evaluate("img => img.complete && img.naturalWidth > 50")
        assert "5 classes" in image.get_attribute("alt")


def test_a_hostile_name_is_shown_as_text(watched: Recorder) -> None:
    link = board_of(watched, "busy@1").locator("a", has_text=HOSTILE)
    assert link.inner_text() == HOSTILE
    link.click()
    watched.page.wait_for_load_state()
    assert "/algorithms/" in watched.page.url
    assert HOSTILE in watched.page.locator("h1").inner_text()
    for summary in watched.page.locator("summary").all():
        summary.click()
    assert watched.page.locator("img").count() == 0


def test_the_policy_blocks_an_injected_script(browser: Any, site: Path) -> None:
    watched = Recorder(browser)
    watched.page.goto((site / "index.html").as_uri())
    watched.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'taken over'";
            document.body.append(script);
            const image = "<img src=x onerror='document.title = 1'>";
            document.body.insertAdjacentHTML("beforeend", image);
            fetch("http://127.0.0.1:9/").catch(() => {});
        }"""
    )
    watched.page.wait_for_timeout(200)
    assert watched.page.title().startswith("metabench")
    assert any("Content Security Policy" in text for text in watched.problems)
    watched.context.close()


@pytest.mark.parametrize(
    "watched", [{"color_scheme": "dark"}, {"color_scheme": "light"}], indirect=True
)
def test_dark_mode_has_a_dark_background_and_readable_text(watched: Recorder) -> None:
    dark = watched.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    background, text = watched.page.evaluate(
        """() => {
            const luminance = (text) => { const c = text.match(/[\\d.]+/g).map(Number);
                const linear = (v) =>
                    (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
                return 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]); };
            const style = getComputedStyle(document.body);
            const muted = getComputedStyle(document.querySelector("figcaption"));
            return [luminance(style.backgroundColor), luminance(muted.color)];
        }"""
    )
    assert (background < 0.05) == dark
    contrast = (max(background, text) + 0.05) / (min(background, text) + 0.05)
    assert contrast >= 4.5  # WCAG AA, for the faintest text


@pytest.mark.parametrize(
    "watched", [{"viewport": PHONE, "is_mobile": True, "has_touch": True}], indirect=True
)
def test_pages_fit_a_phone_and_their_charts_are_readable(watched: Recorder, site: Path) -> None:
    hostile, *_ = (site / "algorithms").glob("script-*.html")
    for page in (site / "index.html", site / "algorithms" / "maml.html", hostile):
        watched.page.goto(page.as_uri())
        for summary in watched.page.locator("summary").all()[:3]:
            summary.click()
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], (
            page.name
        )
    watched.page.goto((site / "index.html").as_uri())
    chart = watched.page.locator("figure.chart > svg").first
    assert chart.bounding_box()["width"] > 300
    smallest = chart.evaluate(
        """(svg) => {
            const texts = [...svg.querySelectorAll("text")];
            const sizes = texts.map((text) => parseFloat(getComputedStyle(text).fontSize));
            const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
            return Math.min(...sizes) * scale;
        }"""
    )
    assert smallest >= 9  # pixels


@pytest.mark.parametrize("watched", [{"java_script_enabled": False}], indirect=True)
def test_the_page_is_complete_without_scripts(watched: Recorder) -> None:
    page = watched.page
    assert page.locator("section[id='glyphs-0@1'] table.sortable tbody tr:visible").count() == 4
    assert page.locator("section[id='glyphs-0@1'] figure.chart > svg:visible").count() == 10
    assert page.locator(".controls:visible").count() == 0
