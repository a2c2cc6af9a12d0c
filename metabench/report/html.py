"""Pages from templates: everything escaped, one style sheet and one script, and nothing else permitted."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import importlib.resources
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from metabench.report.figure import show
from metabench.report.values import shorten

_LONGEST = 300


def render(template: str, **values: object) -> str:
    """A page.

    Args:
        template: its file among the templates.
        values: what the template is given.
    """
    style, script = _asset("report.css"), _asset("report.js")
    page = _environment().get_template(template)
    return page.render(
        style=Markup(style),  # both are files of this package
        script=Markup(script),
        policy=_policy(style, script),
        version=importlib.metadata.version("metabench"),
        **values,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("metabench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = lambda text, most=_LONGEST: shorten(str(text), most)
    environment.filters["show"] = show
    return environment


def _policy(style: str, script: str) -> str:
    """The Content-Security-Policy: this style sheet, this script, embedded pictures, and nothing else."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _asset(name: str) -> str:
    return (importlib.resources.files("metabench.report") / "assets" / name).read_text(
        encoding="utf-8"
    )
