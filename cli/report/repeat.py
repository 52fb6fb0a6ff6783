"""How somebody repeats a check with `sh` and `openssl`, without any program of ours.

Each text is a whole script for `sh`, to be run in a folder with the files that it names, and says what it must print.
"""

from __future__ import annotations

import base64
import shlex
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.commitment import digests_value
from chainnode.model.cosignature import TIME_BYTES, cosignature_message, cosignature_time_s
from chainnode.model.suites import ML_DSA_44, SM2_SM3, SUITE_NAMES
from chainnode.pki.keys import KeyKind, subject_key
from chainnode.tsp.algorithms import IMPRINT_NAMES
from chainnode.tsp.encoding import integer, sequence

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.model.notarization import Notarization
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_policy import Policy
    from chainnode.model.tlog_proof import Proof
    from chainnode.pki.certificate import X509Certificate
    from chainnode.tsp.reading import Token

_HASH_OPTIONS: Final = {
    "sha256": "-sha256",
    "sha384": "-sha384",
    "sha512": "-sha512",
    "sm3": "-sm3",
}
_ED25519_SPKI: Final = bytes.fromhex("302a300506032b6570032100")
"""What stands before an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410 section 4)."""

_VERIFY: Final = "openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin"
_SM2_OPTIONS: Final = " -digest sm3 -pkeyopt distid:1234567812345678"
"""SM2 with SM3 under the user id of GM/T 0009."""

_NO_ROOT: Final = "# ROOT.pem stands for the root certificate of the unit's authority, from a source that you trust"


def digests(file: Path, notarization: Notarization) -> str:
    """Return a script that prints the document's digests."""
    name = _named(file)
    return "\n".join(
        f"openssl dgst {_HASH_OPTIONS[d.algorithm]} -r {name}    # {d.value.hex()}"
        for d in notarization.opening.digests
    )


def commitment(suite: Suite, notarization: Notarization) -> str:
    """Return a script that prints the commitment of salt and digests."""
    opening = notarization.opening
    data = codec.encode(digests_value(opening.digests))
    return (
        f"{_decoded(data)} |\n"
        f"  openssl dgst {_HASH_OPTIONS[suite.hash_name]} -mac HMAC -macopt hexkey:{opening.salt.hex()}"
        f"    # {_hex(notarization.record.body[0])}"
    )


def context(suite: Suite, notarization: Notarization, capture_hash: bytes) -> str:
    """Return a script that prints the commitment to a capture record."""
    return (
        f"{_decoded(codec.encode(capture_hash))} |\n"
        f"  openssl dgst {_HASH_OPTIONS[suite.hash_name]} -mac HMAC -macopt "
        f"hexkey:{notarization.opening.salt.hex()}    # {_hex(notarization.record.body[1])}"
    )


def inclusion(suite: Suite, leaf: bytes, proof: Proof) -> str:
    """Return a script that prints the root to which leaf and proof lead (RFC 9162 section 2.1.3.2)."""
    hashed = f"openssl dgst {_HASH_OPTIONS[suite.hash_name]} -binary | openssl base64 -A"
    lines = [
        f"h() {{ {hashed}; }}",
        "d() { openssl base64 -d -A; }",
        f"n=$( (printf '\\000'; printf %s {_base64(leaf)} | d) | h)",
    ]
    place, last = proof.index, proof.checkpoint.size - 1
    for sibling in proof.hashes:
        other = f"printf %s {_base64(sibling)} | d"
        own = 'printf %s "$n" | d'
        if place & 1 or place == last:
            lines.append(f"n=$( (printf '\\001'; {other}; {own}) | h)")
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            lines.append(f"n=$( (printf '\\001'; {own}; {other}) | h)")
        place, last = place >> 1, last >> 1
    return "\n".join([*lines, f'echo "$n"    # {_base64(proof.checkpoint.root)}'])


def cosignatures(proof: Proof, policy: Policy) -> str:
    """Return a script that checks every cosignature by a key of the policy; empty for suites that openssl 3.0 cannot check so.

    Second cosignatures, of ML-DSA-44, are left out with a comment: openssl 3.5 is the first that knows them.
    """
    keys = {(w.key.name, w.key.key_id): w.key for w in policy.witnesses}
    lines: list[str] = []
    for signature in proof.note.signatures:
        key = keys.get((signature.name, signature.key_id))
        if key is not None and key.type.suite.name == ML_DSA_44:
            lines.append(f"# {signature.name}: ML-DSA-44, not checked here")
        if key is None or key.type.suite.name not in SUITE_NAMES:
            continue
        message = cosignature_message(key, proof.note.text, cosignature_time_s(signature))
        value = signature.value[TIME_BYTES:]
        lines.append(f"# {signature.name}")
        if key.type.suite.name == SM2_SM3:
            public_key = subject_key(key.type.suite, key.public_key).encoded
            lines += _verified(public_key, message, _der(value), _SM2_OPTIONS)
        else:
            lines += _verified(_ED25519_SPKI + key.public_key, message, value)
    is_empty = all(line.startswith("#") for line in lines)
    return "" if is_empty else "\n".join(lines)


def token(
    file: Path,
    token_file: Path,
    found: Token,
    certificate: X509Certificate,
    *,
    brought: Path | None,
    root: Path | None,
) -> str:
    """Return a script that checks a timestamp token as any RFC 3161 software does.

    Args:
        file: The document.
        token_file: With the token.
        found: The token.
        certificate: Of its unit.
        brought: The file of that certificate if the token does not bring it along.
        root: The file of the root's certificate; None: the script has a placeholder.
    """
    if certificate.key.kind is KeyKind.SM2:
        return _sm2_token(file, token_file, found, certificate)
    lines = [] if root is not None else [_NO_ROOT]
    untrusted = "" if brought is None else f" -untrusted {_named(brought)}"
    anchor = "ROOT.pem" if root is None else _named(root)
    lines.append(
        f"openssl ts -verify -in {_named(token_file)} -data {_named(file)}{untrusted} -CAfile {anchor}"
        "    # Verification: OK"
    )
    return "\n".join(lines)


def _sm2_token(file: Path, token_file: Path, found: Token, certificate: X509Certificate) -> str:
    """Return a script that does by its parts what `openssl ts -verify` does not for SM2, but for the certificate's path."""
    hashed = _HASH_OPTIONS[IMPRINT_NAMES[found.digest_oid]]
    imprint = found.imprint
    return "\n".join(
        (
            "# openssl ts -verify knows no SM2; its parts do. The certificate's path: chainnode timestamp verify --root",
            f"openssl ts -reply -in {_named(token_file)} -text",
            "# the document's digest is the one that the token speaks of",
            f"openssl dgst {_HASH_OPTIONS[imprint.algorithm]} -r {_named(file)}    # {imprint.value.hex()}",
            f"{_decoded(found.info)} >info",
            f"openssl asn1parse -inform DER -in info    # {imprint.value.hex().upper()}",
            "# the digest of what the token says is among what was signed",
            f"openssl dgst {hashed} -r info    # {found.content_digest.hex()}",
            f"{_decoded(found.attributes)} >message",
            f"openssl asn1parse -inform DER -in message    # {found.content_digest.hex().upper()}",
            "# the key of the certificate that the token names signed that",
            *_verified(certificate.key.encoded, None, found.signature, _SM2_OPTIONS),
        )
    )


def _verified(
    public_key: bytes, message: bytes | None, signature: bytes, options: str = ""
) -> tuple[str, ...]:
    """Return what checks a signature of a message; None: of what the file `message` has already."""
    return (
        f"{_decoded(public_key)} >key.der",
        *(() if message is None else (f"{_decoded(message)} >message",)),
        f"{_decoded(signature)} >signature",
        f"{_VERIFY} -in message -sigfile signature{options}",
    )


def _der(signature: bytes) -> bytes:
    """Return r || s as X.509 has it: SEQUENCE {r, s}."""
    half = len(signature) // 2
    return sequence(
        *(integer(int.from_bytes(part, "big")) for part in (signature[:half], signature[half:]))
    )


def _named(path: Path) -> str:
    """Return a file's name as a word of `sh`; a placeholder for one that could end the script it stands in."""
    is_plain = path.name.isprintable() and "`" not in path.name
    return shlex.quote(f"./{path.name}") if is_plain else "FILE"


def _decoded(data: bytes) -> str:
    return f"printf %s {_base64(data)} | openssl base64 -d -A"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _hex(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else "?"
