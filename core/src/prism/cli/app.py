"""The command `prism`: which commands there are."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from prism._version import __version__
from prism.cli.attaching import attach
from prism.cli.checking import check
from prism.cli.conformance import conformance
from prism.cli.dead_letters import dead_letters
from prism.cli.exits import EPILOGUE
from prism.cli.exporting import export
from prism.cli.importing import import_
from prism.cli.plugin_table import plugins
from prism.cli.reading import explain, get, ls
from prism.cli.registering import register, unregister
from prism.cli.sending import send
from prism.cli.serving import demo, serve
from prism.cli.upkeep import audit, migrate


class _Commands(TyperGroup):
    """The commands; typer's words for a wrong choice lose the ones that only its own code means."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was named."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise


app = typer.Typer(
    name="prism",
    cls=_Commands,
    help="Register identities, find them by filter, and multicast to exactly the ones that match.",
    epilog=EPILOGUE + " Shell completion: prism --install-completion.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"prism {__version__}")
        raise typer.Exit


@app.callback()
def prism(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Register identities, find them by filter, and multicast to exactly the ones that match."""


for _command in (
    demo,
    serve,
    plugins,
    conformance,
    register,
    ls,
    get,
    send,
    attach,
    unregister,
    explain,
    export,
    check,
    migrate,
    audit,
):
    app.command()(_command)
app.command("dead-letters")(dead_letters)
app.command("import")(import_)
