"""``metabench new-plugin``: a complete project with one algorithm, ready to install, test and change."""

from __future__ import annotations

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
    help="Where the project's folder is made; here by default.",
)
def command(name: str, into: Path) -> None:
    """Make a project for the algorithm NAME: pyproject.toml, one module, a test, a CI workflow, a README."""
    name = check_name(name.removeprefix(_PREFIX))
    folder = into / f"{_PREFIX}{name}"
    files = project_files(name)
    _write(folder, files)
    click.echo(f"{folder} is made:")
    for path in files:
        click.echo(f"  {path}")
    click.echo("Next:")
    click.echo(f'  pip install -e "{folder}[test]"')
    click.echo(f"  metabench run -a {name} -b glyphs-5w1s --quick")


def check_name(name: str) -> str:
    """The name, where it can be that of a project, a module and a class.

    Raises:
        UsageError: it cannot.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        likely = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:_LONGEST].strip("-")
        raise UsageError(
            f"'{name}' cannot be the name of a plugin.",
            hint=f"It has at most {_LONGEST} lower-case letters, digits and single hyphens, "
            f"and begins with a letter: '{likely or 'my-algo'}'.",
        )
    if name in _taken():
        raise UsageError(
            f"'{name}' is an algorithm of metabench's own.",
            hint=f"Take another name, such as 'my-{name}'.",
        )
    if re.search(rf"import .*\b{_class_name(name)}\b", _template("module.py.in")):
        raise UsageError(
            f"'{name}' would make the class '{_class_name(name)}', which the module imports under that name.",
            hint=f"Take another name, such as 'my-{name}'.",
        )
    return name


def project_files(name: str) -> dict[str, str]:
    """The text of every file of a new project, by its path in the project's folder."""
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
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _template(name: str) -> str:
    return (
        Path(__file__)
        .parent.parent.joinpath("templates", "plugin", name)
        .read_text(encoding="utf-8")
    )


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


def _taken() -> set[str]:
    from metabench import builtins

    return {spec.name for spec in builtins.metabench_algorithms()}


def _write(folder: Path, files: dict[str, str]) -> None:
    """Write all files of a new folder.

    Raises:
        UsageError: the folder is there already, or cannot be written.
    """
    if folder.exists() or folder.is_symlink():
        raise UsageError(
            f"'{folder}' is there already, and is left as it is.",
            hint="Take another name, or another place with --into.",
        )
    try:
        for path, text in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(
            f"'{folder}' cannot be written: {error.strerror}.",
            hint="Another place can be given with --into.",
        ) from error
