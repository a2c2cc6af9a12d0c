"""The command line: one file for each command, imported when it is used."""

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
    "report",
    "plot",
    "data",
    "env",
    "new-plugin",
)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for; each file holds a ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
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
@click.option("--strict", is_flag=True, help="Exit with 4 where any plugin is broken.")
@click.option(
    "--no-plugin", multiple=True, metavar="NAME", help="Leave a plugin out; may be repeated."
)
@click.pass_context
def cli(ctx: click.Context, debug: bool, strict: bool, no_plugin: tuple[str, ...]) -> None:
    """The benchmark suite for meta-learning: every algorithm on the same frozen episodes.

    \b
    metabench run --all               every installed algorithm on the core suite
    metabench run -a maml -a protonet -b 'omniglot-*' --data DIR
    metabench list algorithms         what is installed
    """  # noqa: D301 - \b keeps click from filling the lines
    ctx.obj = {"debug": debug}
    if no_plugin:
        # The environment, because worker processes must leave out the same plugins.
        before = os.environ.get("METABENCH_NO_PLUGINS", "")
        os.environ["METABENCH_NO_PLUGINS"] = ",".join([*filter(None, [before]), *no_plugin])
    if strict and ctx.invoked_subcommand != "plugins":  # which shows them first
        _check_plugins()


@cli.result_callback()
def _after(code: Any, /, *, strict: bool, **options: Any) -> Any:
    """A plugin may also have broken since the command began."""
    del options
    if strict and not code:
        _check_plugins()
    return code


def _check_plugins() -> None:
    from metabench.plugins import installed_plugins

    installed_plugins().check()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line, and leave with the right exit code."""
    signal.signal(
        signal.SIGTERM, _interrupt
    )  # a preempted job ends as one that Ctrl-C ends: nothing is lost
    try:
        _main(sys.argv[1:] if arguments is None else arguments)
    finally:
        atexit.register(close_stdout)  # the last to be registered is the first to be called


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _main(arguments: list[str]) -> None:
    try:
        code = cli.main(arguments, prog_name="metabench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; what was finished is kept.", err=True)
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
