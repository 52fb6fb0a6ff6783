"""BagIt (RFC 8493): how documents and their evidence travel to an archive that knows nothing of us.

    BAG/data/...                       documents
    BAG/evidence/...                   records (.er), and chainnode-tokens with .tsr and .tlog-proof
    BAG/proofs/...                     proofs of `notarize -r`, by document
    BAG/policy, BAG/roots.pem          copies of trust anchors, for whoever compares them with their own
    BAG/chainnode-digests.txt          SM3 of each document, in the form of a manifest
    BAG/VERIFY.txt                     how to check all that
    manifest-*.txt, tagmanifest-*.txt  SHA-256 and SHA-512

SM3 is no manifest of the standard's: BagIt software fails on algorithms that it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.model.commitment import DIGEST_BYTES
from chainnode.model.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

DECLARATION: Final = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
PAYLOAD: Final = "data"
EVIDENCE: Final = "evidence"
PROOFS: Final = "proofs"
POLICY: Final = "policy"
ROOTS: Final = "roots.pem"
SM3_DIGESTS: Final = "chainnode-digests.txt"
README: Final = "VERIFY.txt"
MANIFEST_ALGORITHMS: Final = ("sha256", "sha512")
MAX_MANIFEST_BYTES: Final = 512 * 1024 * 1024
"""A manifest: a million lines of SHA-512 and a path."""

_LIMIT_LINES: Final = 2_000_000


def encode_manifest(digests: Mapping[str, bytes]) -> bytes:
    """Return a manifest: a line for each path, in order of paths."""
    lines = (f"{digests[path].hex()}  {path}\n" for path in sorted(digests))
    return "".join(lines).encode()


def parse_manifest(data: bytes, algorithm: str) -> dict[str, bytes]:
    """Return the digests in a manifest by path from the bag's folder on.

    Raises:
        DecodeError: a line is none, a path comes twice, or leads out of the bag.
    """
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise DecodeError("manifest: expected UTF-8", field="manifest") from error
    if len(lines) > _LIMIT_LINES:
        raise DecodeError(f"manifest: expected at most {_LIMIT_LINES} lines", field="manifest")
    found: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        digest, _, path = line.partition(" ")
        path = path.lstrip(" *")
        if not is_portable(path) or path in found:
            raise DecodeError(
                f"manifest: line {number}: found a path that comes twice, leads out of the bag or is "
                "not portable",
                field="manifest",
            )
        try:
            found[path] = bytes.fromhex(digest)
        except ValueError as error:
            raise DecodeError(
                f"manifest: line {number}: expected a digest in hex", field="manifest"
            ) from error
        if len(found[path]) != DIGEST_BYTES[algorithm]:
            raise DecodeError(
                f"manifest: line {number}: expected a digest by {algorithm}", field="manifest"
            )
    return found


def is_portable(path: str) -> bool:
    """Whether a path means the same to all BagIt software: relative, UTF-8, and without `%` and control characters."""
    if any(c in "%\\" or ord(c) < 0x20 or 0xD800 <= ord(c) < 0xE000 for c in path):
        return False
    return all(part not in ("", ".", "..") for part in path.split("/")) and path.strip() == path


def oxum(sizes: Mapping[str, int]) -> str:
    """Return Payload-Oxum: bytes and files of the payload."""
    return f"{sum(sizes.values())}.{len(sizes)}"
