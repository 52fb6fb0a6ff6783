"""Entry point of the `chainnode` command: the tree of commands, and the one place where errors end.

Whatever happens, a person gets one line `error: what was found; what was expected; what to do`, a script gets the
exit status of `cli.exit_status`, and nobody gets a traceback.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from cli.algorithms import algorithms
from cli.archive.group import archive
from cli.authority.group import ca
from cli.command import take_global_options
from cli.devnet import devnet_group
from cli.evidence import evidence
from cli.exit_status import ExitStatus, exit_status_of
from cli.gateway import gateway
from cli.genesis import genesis
from cli.history import history
from cli.identity import account, org
from cli.init import init
from cli.keys import keys
from cli.lookup import lookup
from cli.monitor import monitor
from cli.node import check_config, rebuild, reinstate, start
from cli.notarize import notarize
from cli.output import print_error
from cli.policy import policy
from cli.record import record
from cli.refresh import refresh
from cli.show import block, tx, validators
from cli.status import status
from cli.timestamp import timestamp
from cli.verify import verify
from cli.witness import witness

if TYPE_CHECKING:
    from collections.abc import Sequence


chainnode = click.Group(
    "chainnode", help="A node of a permissioned ledger, and everything that one does with it."
)
for _command in (
    init,
    genesis,
    check_config,
    start,
    rebuild,
    reinstate,
    status,
    monitor,
    witness,
    keys,
    notarize,
    verify,
    refresh,
    lookup,
    timestamp,
    archive,
    history,
    record,
    algorithms,
    policy,
    account,
    org,
    ca,
    tx,
    block,
    validators,
    evidence,
    gateway,
    devnet_group,
):
    chainnode.add_command(_command)
take_global_options(chainnode)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        result = chainnode.main(args=list(arguments), prog_name="chainnode", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (BrokenPipeError, SystemExit):
        # Who reads our output has had enough (`| head`), which click turns into an exit with 1; but 1 says that a
        # check does not hold. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.DONE
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
