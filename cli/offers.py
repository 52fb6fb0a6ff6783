"""Key offers: how a key that was made on one machine is registered from another, with proof that it exists.

    chainnode-key-offer <account> <base64 of the canonical bytes of the offer>

One line of text, which may travel by mail: it holds no secret, and serves for that account and chain only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.calls import KeyOffer, offer_key, parse_key_offer
from chainnode.model.errors import DecodeError, NotFound
from chainnode.model.keys import KeyPurpose
from chainnode.model.note import decode_base64, encode_base64
from cli.session import Session, read_input

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.model.domain import Domain

_WORD: Final = "chainnode-key-offer"
_MAX_OFFER_BYTES: Final = 2_048


def make_offer(
    session: Session, domain: Domain, account: str, key: str, passphrase: bytes
) -> KeyOffer:
    """Return the offer of this home's key of that name, which is made if there is none.

    Raises:
        DecodeError: the key is of another purpose or suite.
        Refused: the passphrase is wrong, or the name cannot name a key.
    """
    keystore = session.keystore()
    try:
        info = keystore.show(key)
    except NotFound:
        info = keystore.new(key, domain.suite, KeyPurpose.ACCOUNT, passphrase)
    if (info.purpose, info.suite) != (KeyPurpose.ACCOUNT, domain.suite.name):
        raise DecodeError(
            f"key {key}: found purpose {info.purpose.value} of {info.suite}; expected "
            f"{KeyPurpose.ACCOUNT.value} of {domain.suite.name}; name another with --key",
            code="wrong_purpose",
            field="key",
        )
    signer = keystore.open(key, passphrase)
    return offer_key(
        domain,
        account=account,
        purpose=KeyPurpose.ACCOUNT,
        public_key=signer.public_key,
        sign=signer.sign,
    )


def offer_line(account: str, offer: KeyOffer) -> str:
    """Return the text of an offer."""
    return f"{_WORD} {account} {encode_base64(codec.encode(offer.as_value()))}\n"


def read_offer(path: Path, account: str) -> KeyOffer:
    """Return the offer in a file, which must be for `account`.

    Raises:
        DecodeError: it is none, or for another account.
    """
    text = read_input(path, max_bytes=_MAX_OFFER_BYTES).decode("ascii", "replace")
    words = text.split()
    if len(words) != 3 or words[0] != _WORD:
        raise DecodeError(
            f"{path} is no key offer; make one with `chainnode account offer-key {account}`",
            code="bad_offer",
        )
    if words[1] != account:
        raise DecodeError(
            f"{path} offers a key for {words[1]}; expected one for {account}", code="bad_offer"
        )
    value = codec.decode(decode_base64(words[2], "offer"), max_bytes=_MAX_OFFER_BYTES)
    return parse_key_offer(value)
