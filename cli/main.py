"""Entry point of the `chainnode` command: the tree of commands, and the one place where errors end.

Whatever happens, a person gets one line `error: what was found; what was expected; what to do`, a script gets the
exit status of `cli.exit_status`, and nobody gets a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final

import click

from cli.exit_status import ExitStatus, exit_status_of
from cli.output import print_error
from cli.tree import CommandTree

if TYPE_CHECKING:
    from collections.abc import Sequence


COMMANDS: Final = {
    "init": ("cli.init", "init"),
    "genesis": ("cli.genesis", "genesis"),
    "check-config": ("cli.node", "check_config"),
    "start": ("cli.node", "start"),
    "rebuild": ("cli.node", "rebuild"),
    "reinstate": ("cli.node", "reinstate"),
    "status": ("cli.status", "status"),
    "monitor": ("cli.monitor", "monitor"),
    "witness": ("cli.witness", "witness"),
    "keys": ("cli.keys", "keys"),
    "notarize": ("cli.notarize", "notarize"),
    "verify": ("cli.verify", "verify"),
    "report": ("cli.report.command", "report"),
    "refresh": ("cli.refresh", "refresh"),
    "certificate": ("cli.papers.command", "certificate"),
    "archive": ("cli.archive.group", "archive"),
    "lookup": ("cli.lookup", "lookup"),
    "timestamp": ("cli.timestamp", "timestamp"),
    "ots": ("cli.ots", "ots"),
    "history": ("cli.history", "history"),
    "record": ("cli.record", "record"),
    "algorithms": ("cli.algorithms", "algorithms"),
    "policy": ("cli.policy", "policy"),
    "account": ("cli.identity", "account"),
    "org": ("cli.identity", "org"),
    "ca": ("cli.authority.group", "ca"),
    "tx": ("cli.show", "tx"),
    "block": ("cli.show", "block"),
    "validators": ("cli.show", "validators"),
    "evidence": ("cli.evidence", "evidence"),
    "gateway": ("cli.gateway", "gateway"),
    "devnet": ("cli.devnet", "devnet_group"),
}
"""Where each command is, by its name."""

chainnode = CommandTree(
    "chainnode",
    help="A node of a permissioned ledger, and everything that one does with it.",
    places=COMMANDS,
)


_CUT_OFF: Final = 128 + signal.SIGPIPE
"""What shells say of programs that end so."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        result = chainnode.main(args=list(arguments), prog_name="chainnode", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (BrokenPipeError, SystemExit):
        # Who reads our output has had enough (`| head`), which click turns into an exit with 1; but 1 says that a
        # check does not hold, and 0 that it does. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _CUT_OFF
    except (click.Abort, KeyboardInterrupt):
        print_error(KeyboardInterrupt(), as_json="--json" in arguments)
        return ExitStatus.INTERRUPTED
    except click.ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            # From click 8.2 on, a group without a command raises its help; before, it printed it.
            click.echo(error.format_message(), err=True)
            return ExitStatus.USAGE
        print_error(error, as_json="--json" in arguments)
        return ExitStatus.USAGE
    except Exception as error:  # noqa: BLE001  the last line of defence: no traceback reaches a user
        print_error(error, as_json="--json" in arguments)
        return exit_status_of(error)
    return result if isinstance(result, int) else ExitStatus.DONE


def main() -> None:
    """Run the command line."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
