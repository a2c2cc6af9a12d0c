"""Render the pages of a report from templates."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import importlib.resources
from collections.abc import Callable
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from metabench.report.charts.ranks import critical_difference
from metabench.report.context import algorithm_contexts, benchmark_context, overview_context
from metabench.report.data import BenchmarkResults, ReportData
from metabench.report.pictures import Picture
from metabench.report.styles import Style, colour_variables
from metabench.report.values import format_number, shorten

# Text of a record may have any length; a page must still open.
_LONGEST_TEXT = 300

Pictures = Callable[[BenchmarkResults], "list[Picture] | str"]


def render_site(data: ReportData, pictures: Pictures) -> dict[str, str]:
    """Returns every page by its path: the same bytes from the same records.

    Args:
        data: The data of the report.
        pictures: Returns the first test episodes of a benchmark, or why there are none.
    """
    pages = {
        "index.html": _render(
            "index.html",
            data=data,
            benchmarks=[benchmark_context(one, pictures(one)) for one in data.benchmarks],
            overview=overview_context(data),
            ranks=critical_difference([one for one in data.benchmarks if one.rows]),
        )
    }
    styles = data.benchmarks[0].styles if data.benchmarks else {}
    for label, name in data.files.items():
        contexts = algorithm_contexts(data, label)
        if contexts:
            pages[f"algorithms/{name}"] = _render(
                "algorithm.html",
                label=label,
                style=Style(styles[label]),
                benchmarks=contexts,
                identity=contexts[0].records[0].algorithm,
            )
    return pages


def _render(template: str, **values: object) -> str:
    css, script = colour_variables() + _asset("report.css"), _asset("report.js")
    return (
        _environment()
        .get_template(template)
        .render(
            css=Markup(css),  # unescaped: both are files of this package
            script=Markup(script),
            policy=_policy(css, script),
            version=importlib.metadata.version("metabench"),
            **values,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("metabench.report"),
        autoescape=True,  # every text of a record is untrusted
        undefined=StrictUndefined,  # a misspelt variable fails instead of printing nothing
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = lambda text, most=_LONGEST_TEXT: shorten(str(text), most)
    environment.filters["number"] = format_number
    return environment


def _policy(css: str, script: str) -> str:
    """Returns the Content-Security-Policy: this style sheet, this script, embedded pictures."""
    # By hash, so that markup which escaping missed still runs no script and loads nothing.
    return (
        f"default-src 'none'; style-src '{_digest(css)}'; script-src '{_digest(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _asset(name: str) -> str:
    path = importlib.resources.files("metabench.report") / "assets" / name
    return path.read_text(encoding="utf-8")
