"""`chainnode ca`: certificate authorities of the alliance, from an offline root to what the chain knows of certificates.

    root, request, sign, install, list, show, crl      files only; a root's machine never sees a network
    admit, issue, enter, revoke, publish-crl, check    with the chain

`issue` enters a certificate on the log before it writes it out: what is not on the log, nobody of us accepts.
"""

from __future__ import annotations

import click

from cli.authority import offline, onchain


@click.group()
def ca() -> None:
    """Certificate authorities: the offline root, issuing authorities, certificates, revocation."""


for _command in (
    offline.root,
    offline.request,
    offline.sign,
    offline.install,
    offline.list_,
    offline.show,
    offline.crl,
    onchain.admit,
    onchain.issue,
    onchain.enter,
    onchain.revoke,
    onchain.publish_crl,
    onchain.check,
):
    ca.add_command(_command)
