"""Who asks a node for what only members may see: an account, with a key that signs the question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.clock import Clock, SystemClock
from chainnode.model.rpc_auth import auth_message
from chainnode.rpc.base64_text import to_base64

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.keystore.signer import Signer
    from chainnode.model.canonical_json import Param
    from chainnode.model.domain import Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Who asks, for what only members may see."""

    account: str
    """`organisation/account`."""

    signer: Signer
    """A key of that account."""

    domain: Domain
    """The chain's."""

    clock: Clock = SystemClock()  # noqa: RUF009  # it has no state

    def authorize(self, method: str, params: Mapping[str, Param]) -> dict[str, Param]:
        """Return `params` with the signature that lets this member see the answer in full."""
        time_ms = self.clock.now_ms()
        message = auth_message(
            self.domain, account=self.account, method=method, params=params, time_ms=time_ms
        )
        auth: dict[str, Param] = {
            "account": self.account,
            "public_key": to_base64(self.signer.public_key),
            "time_ms": time_ms,
            "signature": to_base64(self.signer.sign(message)),
        }
        return {**params, "auth": auth}
