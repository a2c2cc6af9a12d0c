"""The command line: one module for each command, imported on use."""

from __future__ import annotations

import atexit
import importlib
import os
import signal
import sys
from typing import Any

import click

from metabench import __version__
from metabench.errors import EXIT_INTERRUPTED, EXIT_USAGE, MetabenchError
from metabench.utils.redirect import close_stdout

COMMANDS = (
    "run",
    "list",
    "plugins",
    "check",
    "leaderboard",
    "backends",
    "compare",
    "plan",
    "tune",
    "report",
    "plot",
    "data",
    "env",
    "new-plugin",
)


class LazyGroup(click.Group):
    """A group that imports its commands on use. Each command's module has a ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of the commands, in the order in which a user needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns the command of this name, or ``None``."""
        if cmd_name not in COMMANDS:
            return None
        module = f"metabench.cli.{cmd_name.replace('-', '_')}_command"
        command: click.Command = importlib.import_module(module).command
        return command


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="metabench")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with 4 and the reason if a plugin is broken, before the command starts if possible.",
)
@click.option("--no-plugin", multiple=True, metavar="NAME", help="Exclude a plugin; repeatable.")
@click.pass_context
def cli(ctx: click.Context, debug: bool, strict: bool, no_plugin: tuple[str, ...]) -> None:
    """The benchmark suite for meta-learning: every algorithm on the same frozen episodes.

    \b
    metabench run --all               all installed algorithms on the core suite
    metabench run -a maml -a protonet -b 'omniglot-*' --data DIR
    metabench list algorithms         what is installed
    """  # noqa: D301 - \b keeps click from wrapping the lines
    ctx.obj = {"debug": debug}
    if no_plugin:
        # In the environment, because worker processes must exclude the same plugins.
        before = os.environ.get("METABENCH_NO_PLUGINS", "")
        os.environ["METABENCH_NO_PLUGINS"] = ",".join([*filter(None, [before]), *no_plugin])
    if strict and ctx.invoked_subcommand != "plugins":  # which shows them before it fails
        _check_plugins()


@cli.result_callback()
def _after(code: Any, /, *, strict: bool, **options: Any) -> Any:
    """Check the plugins again: one may have failed while the command ran."""
    del options
    if strict and not code:
        _check_plugins()
    return code


def _check_plugins() -> None:
    from metabench.cli.plugin_files import check_files
    from metabench.plugins import installed_plugins

    plugins = installed_plugins()
    check_files(plugins)
    plugins.check()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the right code."""
    # A cluster that preempts a job sends SIGTERM: handled as Ctrl-C is, no finished cell is lost.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _main(sys.argv[1:] if arguments is None else arguments)
    finally:
        atexit.register(close_stdout)  # last registered, so called before the handlers of plugins


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _main(arguments: list[str]) -> None:
    try:
        code = cli.main(arguments, prog_name="metabench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; finished cells are stored.", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except MetabenchError as error:
        if "--debug" in arguments:
            raise
        click.echo(f"error: {error.message}", err=True)
        for line in error.hint.splitlines():
            click.echo(f"       {line}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `metabench list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
