"""``metabench new-plugin``: create a project with one algorithm, ready to install and test."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

import click

from metabench.errors import UsageError

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40
_PREFIX = "metabench-"


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="DIR",
    help="The folder to create the project in; by default the current one.",
)
def command(name: str, into: Path) -> None:
    """Create a project for the algorithm NAME, with a test, a CI workflow and a README."""
    name = check_name(name.removeprefix(_PREFIX))
    folder = into / f"{_PREFIX}{name}"
    files = project_files(name)
    _write(folder, files)
    click.echo(f"created {folder}:")
    for path in files:
        click.echo(f"  {path}")
    click.echo("Next:")
    click.echo(f'  pip install -e "{folder}[test]"')
    click.echo(f"  metabench run -a {name} -b glyphs-5w1s --quick")


def check_name(name: str) -> str:
    """Returns the name if a project, a module and a class can have it.

    Raises:
        UsageError: If it is invalid, or taken.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        likely = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:_LONGEST].strip("-")
        raise UsageError(
            f"'{name}' is not a valid name of a plugin.",
            hint=f"Use at most {_LONGEST} lower-case letters, digits and single hyphens, and begin "
            f"with a letter: '{likely or 'my-algo'}'.",
        )
    if keyword.iskeyword(name) or keyword.iskeyword(_class_name(name)):
        raise UsageError(
            f"'{name}' is a keyword of Python.",
            hint=f"Choose another name, such as 'my-{name}'.",
        )
    if name in _taken():
        raise UsageError(
            f"'{name}' is a built-in algorithm of metabench.",
            hint=f"Choose another name, such as 'my-{name}'.",
        )
    # The template imports names such as Support; a class of that name would shadow them.
    if re.search(rf"import .*\b{_class_name(name)}\b", _template("module.py.in")):
        raise UsageError(
            f"'{name}' would name its class '{_class_name(name)}', which the module imports.",
            hint=f"Choose another name, such as 'my-{name}'.",
        )
    return name


def project_files(name: str) -> dict[str, str]:
    """Returns the text of every file of a new project, by its path in the project's folder."""
    from metabench import __version__

    module = f"{_PREFIX}{name}".replace("-", "_")
    values = {
        "name": name,
        "distribution": f"{_PREFIX}{name}",
        "module": module,
        "class": _class_name(name),
        "metabench": ".".join(__version__.split(".")[:2]),
    }
    templates = {
        "pyproject.toml": "pyproject.toml.in",
        f"{module}.py": "module.py.in",
        f"tests/test_{module}.py": "test_module.py.in",
        ".github/workflows/test.yml": "workflow.yml.in",
        "README.md": "README.md.in",
        ".gitignore": "gitignore.in",
    }
    return {path: _fill(_template(template), values) for path, template in templates.items()}


def _fill(text: str, values: dict[str, str]) -> str:
    # Not str.format: the templates are Python and TOML, which are full of braces.
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _template(name: str) -> str:
    folder = Path(__file__).parents[1] / "templates" / "plugin"
    return (folder / name).read_text(encoding="utf-8")


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


def _taken() -> set[str]:
    from metabench import builtins

    return {spec.name for spec in builtins.metabench_algorithms()}


def _write(folder: Path, files: dict[str, str]) -> None:
    """Write all files of a new folder.

    Raises:
        UsageError: If the folder exists, or cannot be written.
    """
    if folder.exists() or folder.is_symlink():
        raise UsageError(
            f"'{folder}' already exists, and was not changed.",
            hint="Choose another name, or another folder with --into.",
        )
    try:
        for path, text in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            # The same bytes on Windows: the example project is compared with them in a test.
            file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(
            f"'{folder}' cannot be written: {error.strerror}.",
            hint="Choose another folder with --into.",
        ) from error
