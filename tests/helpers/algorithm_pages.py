"""Write the tables of hyper-parameters in docs/algorithms from the algorithms' source.

::

    python -m tests.helpers.algorithm_pages

The meaning of a hyper-parameter is the comment at its line.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import re
import sys
import tokenize
from pathlib import Path

from metabench.algorithms.base import Algorithm, parameters_of
from metabench.plugins import Plugins

PAGES = Path(__file__).parents[2] / "docs" / "algorithms"


def comments_of(cls: type[Algorithm]) -> dict[str, str]:
    """Returns the comment at the line of each field of the class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__[: cls.__mro__.index(Algorithm)]):
        source = inspect.getsource(sys.modules[base.__module__])
        at_line = {
            token.start[0]: token.string.lstrip("# ")
            for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type == tokenize.COMMENT
        }
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef) and node.name == base.__name__:
                for field in node.body:
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                        found[field.target.id] = at_line.get(field.lineno, "")
    return found


def table_of(cls: type[Algorithm]) -> str:
    """Returns the table of hyper-parameters in Markdown, or a sentence if there are none."""
    known = parameters_of(cls)
    if not known:
        return "There are none."
    meanings = comments_of(cls)
    rows = ["| name | default | meaning |", "|---|---|---|"]
    for name, parameter in known.items():
        default = json.dumps(parameter.default)
        rows.append(f"| `{name}` | `{default}` | {meanings[name].replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def with_table(page: str, name: str, cls: type[Algorithm]) -> str:
    """Returns the page with a new table."""
    begin, end = f"<!-- hyperparameters {name} -->", "<!-- end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n{table_of(cls)}\n{end}", page, count=1)


def algorithms() -> dict[str, type[Algorithm]]:
    """Returns the built-in algorithms by name."""
    return {spec.name: spec.load() for spec in Plugins(only=()).registry.specs("algorithm")}


if __name__ == "__main__":
    for name, cls in algorithms().items():
        path = PAGES / f"{name}.md"
        path.write_text(with_table(path.read_text(encoding="utf-8"), name, cls), encoding="utf-8")
