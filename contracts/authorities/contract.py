"""The methods of `authorities`, version 1: every X.509 certificate that counts stands on the log.

    admit(name, title, standing, operator, [certificate, ...])           by an admin
    dismiss(name)                                                        by an admin
    enter(authority, purpose, owner, not_before_ms, not_after_ms, certificate)   by the authority's operator
    revoke(authority, fingerprint, reason)                               by the operator, or an admin
    publish_crl(authority, number, crl)                                  by the operator
    publish_root_crl(authority, number, crl)                             by an admin

Certificates and lists are X.509 in DER, and opaque here: reading ASN.1 in every validator alike, for decades, would
make each library's reading of it a rule of consensus. Whoever relies on one reads it, follows its signatures to the
authority's root, and asks the chain whether it was entered and not revoked. So a certificate that was signed with a
stolen authority key, and never entered, counts for nothing; and one that was entered is there for everybody to see.

Each authority has entries of its own, so none can get in another's way by entering or revoking what the other issued.
The root's list is for an admin to publish, and in a dismissed authority's name too: it is what takes an authority back
whose machine, and with that its operator's key, may be a thief's.

Numbers of lists rise, so that nobody takes revocations back with an earlier list. Whether a list bears the number under
which it was published, its readers check.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from contracts.authorities.admission import admit, dismiss
from contracts.authorities.certificates import enter, revoke
from contracts.authorities.lists import publish_crl, publish_root_crl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.api import Method

METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "admit": admit,
        "dismiss": dismiss,
        "enter": enter,
        "revoke": revoke,
        "publish_crl": publish_crl,
        "publish_root_crl": publish_root_crl,
    }
)
