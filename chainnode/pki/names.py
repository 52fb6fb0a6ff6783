"""Distinguished names (RFC 5280 section 4.1.2.4): who a certificate is about, and who answers for it.

    C=CN, O=某市政务服务数据管理局, OU=电子认证, CN=政务联盟时间戳 1

The order of the text is the order in the certificate. Names are compared byte by byte: whoever issues writes the
issuer's name as it stands in the issuer's certificate (RFC 5280 section 4.1.2.6 asks for that).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from asn1crypto import core, x509

from chainnode.model.errors import DecodeError, Refused
from chainnode.pki.der import reading

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_NAME_TEXT: Final = 1024
"""Characters of a name as text; names with a dozen long parts stay below."""

MAX_ATTRIBUTES: Final = 16
"""Parts of a name; there are eleven kinds, and `OU` may come more than once."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """An attribute that a name can be written with."""

    short: str
    """As in text."""

    oid: str
    most: int
    """Characters (RFC 5280 appendix A.1: upper bounds)."""

    string: type[core.AbstractString] = core.UTF8String
    pattern: str = r".+"
    """What it must look like besides."""


_KINDS: Final = (
    _Kind("C", "2.5.4.6", 2, core.PrintableString, "[A-Z]{2}"),
    _Kind("ST", "2.5.4.8", 128),
    _Kind("L", "2.5.4.7", 128),
    _Kind("O", "2.5.4.10", 64),
    _Kind("organizationIdentifier", "2.5.4.97", 64),
    _Kind("OU", "2.5.4.11", 64),
    _Kind("CN", "2.5.4.3", 64),
    _Kind("T", "2.5.4.12", 64),
    _Kind("SN", "2.5.4.4", 64),
    _Kind("GN", "2.5.4.42", 64),
    _Kind("serialNumber", "2.5.4.5", 64, core.PrintableString, r"[A-Za-z0-9 '()+,./:=?-]+"),
)
_BY_SHORT: Final = {kind.short.upper(): kind for kind in _KINDS}
_BY_OID: Final = {kind.oid: kind for kind in _KINDS}

_ENCODINGS: Final = {
    0x0C: "utf-8",
    0x13: "ascii",  # PrintableString
    0x14: "latin-1",  # TeletexString, as everybody reads it
    0x16: "ascii",  # IA5String
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}
"""How a string type writes its characters, by its tag."""

_SPECIAL = ',+="\\<>;'
_PART = re.compile(r"\s*([A-Za-z]+)\s*=\s*((?:[^\\,+]|\\.)*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One statement of a name."""

    oid: str
    """Which, dotted."""

    value: str
    """What it says; from outside, and not to be printed as it is."""

    def text(self) -> str:
        """Return `O=...`, with everything escaped that would mislead (RFC 4514 section 2.4)."""
        kind = _BY_OID.get(self.oid)
        return f"{self.oid if kind is None else kind.short}={_escaped(self.value)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DistinguishedName:
    """A name; two are the same if their bytes are."""

    encoded: bytes
    """DER."""

    parts: tuple[tuple[Attribute, ...], ...]
    """Relative names in their order; more than one attribute each is rare, and never written by us."""

    def text(self) -> str:
        """Return the name as `parse_name` reads it; parts of several attributes are joined by `+`."""
        return ", ".join("+".join(a.text() for a in part) for part in self.parts)

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing."""
        return not self.parts


def parse_name(text: str) -> DistinguishedName:
    r"""Return the name that a person wrote: `KEY=value` parts with commas between; in values `\` before `,` `+` and `\`.

    Keys, in any case: C, ST, L, O, organizationIdentifier, OU, CN, T, SN, GN, serialNumber.

    Raises:
        Refused: with code `bad_name`; says which part is wrong, and why.
    """
    if not 1 <= len(text) <= MAX_NAME_TEXT:
        raise _bad_name(f"found {len(text)} characters; expected 1 to {MAX_NAME_TEXT}")
    attributes = tuple(_written_parts(text))
    if len(attributes) > MAX_ATTRIBUTES:
        raise _bad_name(f"found {len(attributes)} parts; expected at most {MAX_ATTRIBUTES}")
    return name_of(attributes)


def name_of(attributes: tuple[Attribute, ...]) -> DistinguishedName:
    """Return the name of these attributes, each a part of its own, in this order.

    Raises:
        Refused: with code `bad_name`.
    """
    for attribute in attributes:
        _check_attribute(attribute)
    sequence = x509.RDNSequence(
        [x509.RelativeDistinguishedName([_pair(attribute)]) for attribute in attributes]
    )
    return DistinguishedName(
        encoded=sequence.dump(), parts=tuple((attribute,) for attribute in attributes)
    )


def decode_name(data: bytes) -> DistinguishedName:
    """Return the name in DER that `check_der` has accepted; empty ones too.

    Raises:
        DecodeError: it is none, is too long, or uses a string type that X.509 does not have.
    """
    with reading("name"):
        sequence = x509.RDNSequence.load(data, strict=True)
        parts = tuple(
            tuple(
                Attribute(pair["type"].dotted, _string(pair["value"].dump())) for pair in relative
            )
            for relative in sequence
        )
    if sum(map(len, parts)) > MAX_ATTRIBUTES or not all(parts):
        raise DecodeError(
            f"name: expected 1 to {MAX_ATTRIBUTES} attributes, none of its parts empty"
        )
    return DistinguishedName(encoded=data, parts=parts)


def as_asn1(name: DistinguishedName) -> x509.Name:
    """Return the ASN.1 value of a name, with its very bytes."""
    return x509.Name("", x509.RDNSequence.load(name.encoded))


def _written_parts(text: str) -> Iterator[Attribute]:
    at = 0
    while True:
        found = _PART.match(text, at)
        if found is None:
            raise _bad_name(f"found {text[at : at + 40]!r}; expected KEY=value, as in C=CN, O=...")
        kind = _BY_SHORT.get(found[1].upper())
        if kind is None:
            known = ", ".join(kind.short for kind in _KINDS)
            raise _bad_name(f"found the key {found[1]!r}; known are {known}")
        yield Attribute(kind.oid, _unescaped(found[2]))
        at = found.end()
        if at == len(text):
            return
        if text[at] != ",":
            raise _bad_name(
                f"found {text[at]!r} after {found[0].strip()[:40]!r}; expected a comma, "
                r"or \+ if it belongs to the value"
            )
        at += 1


def _check_attribute(attribute: Attribute) -> None:
    kind, value = _BY_OID.get(attribute.oid), attribute.value
    if kind is None:
        raise _bad_name(f"found the attribute {attribute.oid}, which names are not written with")
    if not 1 <= len(value) <= kind.most or re.fullmatch(kind.pattern, value) is None:
        raise _bad_name(f"{kind.short}: found {value[:80]!r}; expected {_expected(kind)}")
    if value != value.strip() or not value.isprintable():
        raise _bad_name(f"{kind.short}: found blanks around {value[:80]!r}, or what has no shape")
    if unicodedata.normalize("NFC", value) != value:
        raise _bad_name(
            f"{kind.short}: found {value[:80]!r} in a form that looks like another; expected NFC"
        )


def _expected(kind: _Kind) -> str:
    if kind.short == "C":
        return "two capital letters (ISO 3166)"
    of = "" if kind.string is core.UTF8String else f" of the form {kind.pattern}"
    return f"1 to {kind.most} characters{of}"


def _pair(attribute: Attribute) -> x509.NameTypeAndValue:
    value = _BY_OID[attribute.oid].string(attribute.value)
    return x509.NameTypeAndValue({"type": attribute.oid, "value": value})


def _string(element: bytes) -> str:
    encoding = _ENCODINGS.get(element[0])
    if encoding is None:
        raise DecodeError(f"name: found a value of type {element[0]:#04x}; expected a string")
    # Shorter than 128 bytes or not: the content is what is left behind a length that check_der has judged.
    content = element[2 if element[1] < 0x80 else 2 + (element[1] & 0x7F) :]
    return content.decode(encoding)


def _escaped(value: str) -> str:
    last = len(value) - 1
    return "".join(
        f"\\{c}" if c in _SPECIAL or (c in " #" and i == 0) or (c == " " and i == last)
        else c if c.isprintable()
        else "".join(f"\\{byte:02X}" for byte in c.encode("utf-8", "surrogatepass"))
        for i, c in enumerate(value)
    )  # fmt: skip


def _unescaped(text: str) -> str:
    text = text.strip()
    if re.fullmatch(r"([^\\]|\\[,+=\"\\<>;#])*", text) is None:
        raise _bad_name(rf"found {text[:40]!r}; expected \ only before one of , + = \ and its like")
    return re.sub(r"\\(.)", r"\1", text)


def _bad_name(what: str) -> Refused:
    return Refused(f"name: {what}", code="bad_name", field="name")
