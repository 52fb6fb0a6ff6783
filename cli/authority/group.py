"""`chainnode ca`: certificate authorities of the alliance, from an offline root to what the chain knows of certificates.

    root, request, sign, install, list, show           files only; a root's machine never sees a network
    revoke-authority, crl                              files only
    admit, dismiss, issue, enter                       with the chain
    revoke, publish-crl, check                         with the chain

`issue` enters a certificate on the log before it writes it out: what is not on the log, nobody of us accepts.
"""

from __future__ import annotations

import click

from cli.authority import offline, onchain, revoking, standing


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
    onchain.dismiss,
    onchain.issue,
    onchain.enter,
    revoking.revoke,
    revoking.revoke_authority,
    revoking.publish_crl,
    standing.check,
):
    ca.add_command(_command)
