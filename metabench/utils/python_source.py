"""A form of Python source that does not depend on comments, formatting or the interpreter."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator

_WITHOUT_EFFECT = frozenset({"ctx", "kind", "type_comment"})
"""Fields that follow from the place of a node, or say how it was written."""


@functools.lru_cache(maxsize=1024)
def normalized(source: bytes) -> str:
    """Returns the syntax tree of a module as text, without string statements (docstrings).

    Equal text means the same program up to docstrings and formatting, also if two versions of
    Python parsed it: :func:`ast.dump` prints other fields in each version.

    Raises:
        SyntaxError: If this Python cannot parse it.
        ValueError: If it contains a null byte.
    """
    return "".join(_tokens(ast.parse(source)))


def _tokens(node: object) -> Iterator[str]:
    if isinstance(node, ast.AST):
        yield f"{type(node).__name__}("
        for name in sorted(set(node._fields) - _WITHOUT_EFFECT):
            value = getattr(node, name, None)
            if isinstance(node, ast.JoinedStr):
                # Python 3.12 puts empty strings between the parts of some f-strings.
                value = [part for part in node.values if not _is_empty_string(part)]
            # A later Python has fields that are empty for the syntax of an earlier one.
            if value is not None and value != []:
                yield f"{name}="
                yield from _tokens(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in node:
            if not _is_string_statement(item):
                yield from _tokens(item)
                yield ","
        yield "]"
    else:
        # ascii: which characters repr escapes depends on the Unicode tables of the interpreter.
        yield ascii(node)


def _is_string_statement(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_empty_string(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == ""
