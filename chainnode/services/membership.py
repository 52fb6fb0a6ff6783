"""Who may see what is for members: whoever signs as an active account, with a key that is valid now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model.errors import Refused
from chainnode.model.keys import KeyPurpose
from chainnode.model.rpc_auth import AUTH_WINDOW_MS, auth_message
from contracts.query import account_view, key_view

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.clock import Clock
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.canonical_json import Param
    from chainnode.model.rpc_auth import Authorization


class Membership:
    """Judges authorizations against the tip's state and this node's clock."""

    def __init__(self, *, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def check_member(
        self, authorization: Authorization, *, method: str, params: Mapping[str, Param]
    ) -> None:
        """Refuse an authorization that was not made for this request, now, by an active account.

        Raises:
            Refused: `auth_stale`, `unknown_account`, `account_suspended`, `unknown_key`, `key_not_valid` or
                `auth_signature`.
            DecodeError: the parameters cannot be signed.
        """
        now_ms = self._clock.now_ms()
        self._check_time(authorization, now_ms)
        self._check_key(authorization, now_ms)
        domain = self._ledger.genesis.domain
        message = auth_message(
            domain,
            account=authorization.account,
            method=method,
            params=params,
            time_ms=authorization.time_ms,
        )
        if not domain.suite.is_signature(
            authorization.public_key, message, authorization.signature
        ):
            raise Refused(
                f"auth: the signature does not hold for {method} with these parameters",
                code="auth_signature",
                field="auth",
            )

    def _check_time(self, authorization: Authorization, now_ms: int) -> None:
        if abs(authorization.time_ms - now_ms) > AUTH_WINDOW_MS:
            raise Refused(
                f"auth: signed at {authorization.time_ms}, this node's clock says {now_ms}; "
                f"expected at most {AUTH_WINDOW_MS} ms between them; check the clocks, sign again",
                code="auth_stale",
                field="auth",
            )

    def _check_key(self, authorization: Authorization, now_ms: int) -> None:
        account = account_view(self._ledger.state, authorization.account)
        if account is None:
            raise Refused(
                f"auth: there is no account {authorization.account}",
                code="unknown_account",
                field="auth",
            )
        if account.suspended:
            raise Refused(
                f"auth: {account.name} is suspended", code="account_suspended", field="auth"
            )
        key = key_view(self._ledger.state, authorization.public_key)
        if key is None or key.owner != account.name or key.purpose is not KeyPurpose.ACCOUNT:
            raise Refused(
                f"auth: the key is not registered to sign for {account.name}",
                code="unknown_key",
                field="auth",
            )
        if not key.is_valid(now_ms):
            raise Refused(
                f"auth: the key of {account.name} is revoked, expired or not yet valid",
                code="key_not_valid",
                field="auth",
            )
