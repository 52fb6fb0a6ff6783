"""What a verifier brings along besides a policy: roots, revocation lists, and from when on it believes no algorithm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from chainnode.model.errors import ChainError, DecodeError
from chainnode.pki.pem import MAX_PEM_BYTES, REVOCATION_LIST, parse_bundle, parse_pem
from chainnode.pki.revocation import decode_crl
from chainnode.tsp.algorithms import IMPRINT_OIDS
from cli.session import read_input
from cli.times import parse_time

if TYPE_CHECKING:
    from chainnode.pki.certificate import X509Certificate
    from chainnode.pki.revocation import RevocationList

PATH: Final = click.Path(path_type=Path)

crl_option: Final = click.option(
    "--crl",
    "list_files",
    multiple=True,
    type=PATH,
    metavar="FILE",
    help="Revocation list of an authority below --root, or of the root; may be given again.",
)


def _weakness(
    _context: click.Context, _option: click.Parameter, found: tuple[str, ...]
) -> dict[str, int]:
    weak: dict[str, int] = {}
    for text in found:
        name, _, date = text.partition("=")
        if name not in IMPRINT_OIDS or name in weak:
            raise click.BadParameter(
                f"found {text!r}; expected one of {', '.join(IMPRINT_OIDS)}, each once, and a date, as in "
                "sha256=2035-01-01"
            )
        weak[name] = parse_time(date)
    return weak


weak_option: Final = click.option(
    "--weak",
    "weak_from_ms",
    multiple=True,
    callback=_weakness,
    metavar="ALGORITHM=DATE",
    help="Hold a digest algorithm for broken from DATE on, as in sha256=2035-01-01; may be given again.",
)


def read_bundle(file: Path) -> tuple[X509Certificate, ...]:
    """Return the certificates in a file. Raises DecodeError that names the file."""
    try:
        return parse_bundle(read_input(file, max_bytes=MAX_PEM_BYTES))
    except DecodeError as error:
        raise DecodeError(
            f"{file}: {error.message}", code=error.error_code, field=error.field
        ) from error


def read_bundle_if_any(file: Path | None) -> tuple[X509Certificate, ...]:
    """Return the certificates in a file, or none if there is no file. Raises DecodeError that names the file."""
    return () if file is None else read_bundle(file)


def read_crl(file: Path) -> RevocationList:
    """Return the revocation list in a file, PEM or DER. Raises DecodeError that names the file."""
    try:
        return decode_crl(parse_pem(read_input(file, max_bytes=MAX_PEM_BYTES), REVOCATION_LIST)[0])
    except ChainError as error:
        raise DecodeError(
            f"{file}: {error.message}", code=error.error_code, field=error.field
        ) from error


def read_crls(files: tuple[Path, ...]) -> tuple[RevocationList, ...]:
    """Return the revocation lists in files, one in each. Raises DecodeError that names the file."""
    return tuple(read_crl(file) for file in files)
