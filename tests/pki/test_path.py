"""Paths to a root: those that hold, and each way in which one does not, by its code."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from asn1crypto import core
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from chainnode.model.errors import CannotTell, DecodeError, ProofInvalid, Refused
from chainnode.model.suites import P256_SHA256, SM2_SM3
from chainnode.pki.certificate import X509Certificate, decode_x509_certificate
from chainnode.pki.der import OCTET_STRING, SEQUENCE, element, elements
from chainnode.pki.extension_reading import raw_extensions
from chainnode.pki.issuing import issue_certificate, issue_root
from chainnode.pki.keys import KeyKind, sign_der
from chainnode.pki.names import parse_name
from chainnode.pki.path import MAX_INTERMEDIATES, MAX_ROOTS, CheckedPath, check_path
from chainnode.pki.profiles import ISSUING, ROOT, SEAL, TIMESTAMP, Profile
from chainnode.pki.revocation import RevocationReason, RevokedCertificate, decode_crl
from tests.support.certificates import (
    BEGIN_MS,
    DAY_MS,
    KEY_SUITES,
    NOW_MS,
    authority,
    signer_of,
    terms,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from chainnode.pki.issuing import Terms

BIT_STRING = 0x03


def check(leaf: X509Certificate, suite_name: str = P256_SHA256, **changes: Any) -> CheckedPath:
    """Check a leaf of the small authority for timestamps now, but for what `changes` says."""
    made = authority(suite_name)
    fields: dict[str, Any] = {
        "intermediates": (made.issuing,),
        "roots": (made.root,),
        "at_ms": NOW_MS,
        "profile": TIMESTAMP,
    }
    fields |= changes
    return check_path(leaf, fields.pop("intermediates"), fields.pop("roots"), **fields)


def refused(leaf: X509Certificate, **changes: Any) -> str:
    """Return the code by which a leaf is refused."""
    with pytest.raises(ProofInvalid) as caught:
        check(leaf, **changes)
    return caught.value.error_code


def is_untold(leaf: X509Certificate, **changes: Any) -> bool:
    """Whether no way leads to the roots, which proves nothing against a leaf."""
    with pytest.raises(CannotTell) as caught:
        check(leaf, **changes)
    return caught.value.error_code == "no_path"


def altered(
    change: Callable[[dict[str, Any]], None], profile: Profile = TIMESTAMP
) -> X509Certificate:
    """Return a leaf whose extensions, by identifier, were changed before the issuing authority signed it."""
    made = authority()
    signed = made.issue(profile).signed
    (outer,) = elements(signed, 0, len(signed))
    *others, last = elements(signed, outer.content, outer.end)
    (sequence,) = elements(signed, last.content, last.end)
    extensions = {
        e.oid: (e.is_critical, e.value)
        for e in raw_extensions(signed[sequence.content : sequence.end])
    }
    change(extensions)
    encoded = b"".join(
        element(
            SEQUENCE,
            core.ObjectIdentifier(oid).dump()
            + (b"\1\1\xff" if critical else b"")
            + element(OCTET_STRING, value),
        )
        for oid, (critical, value) in extensions.items()
    )
    parts = [signed[part.start : part.end] for part in others]
    parts.append(element(last.tag, element(SEQUENCE, encoded)))
    signed = element(SEQUENCE, b"".join(parts))
    algorithm, signature = sign_der(made.issuing_signer, signed)
    bits = element(BIT_STRING, b"\0" + signature)
    return decode_x509_certificate(element(SEQUENCE, signed + algorithm.dump() + bits))


# -- paths that hold ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite_name", KEY_SUITES)
def test_a_leaf_of_our_own_holds_with_both_lists(suite_name: str) -> None:
    made = authority(suite_name)
    lists = (made.crl(), made.crl(by_root=True))
    found = check(made.leaf, suite_name, crls=lists)
    assert found.certificates == (made.leaf, made.issuing, made.root)
    assert (found.leaf, found.root, found.at_ms) == (made.leaf, made.root, NOW_MS)
    assert (found.lists, found.without_list, found.revoked_later) == (lists, (), None)


def test_without_lists_the_result_says_of_whom_nothing_is_known() -> None:
    made = authority()
    assert check(made.leaf).without_list == (made.leaf, made.issuing)
    assert check(made.leaf, crls=(made.crl(),)).without_list == (made.issuing,)


def test_an_authority_a_root_and_a_seal_are_checked_for_their_own_use() -> None:
    made = authority()
    assert len(check(made.issuing, profile=ISSUING).certificates) == 2
    assert check(made.root, profile=ROOT).certificates == (made.root,)
    assert check(made.issue(SEAL), profile=SEAL).leaf.extensions.extended_key_usage == ()


def test_what_is_not_needed_and_what_is_another_authoritys_does_not_disturb() -> None:
    made, other = authority(), authority(SM2_SM3)
    found = check(
        made.leaf,
        intermediates=(other.issuing, other.leaf, made.issuing, made.leaf),
        roots=(other.root, made.root),
        crls=(other.crl(), made.crl()),
    )
    assert found.root == made.root


def test_whoever_trusts_a_leaf_or_an_authority_itself_needs_no_more() -> None:
    made = authority()
    assert check(made.leaf, roots=(made.leaf,), intermediates=()).certificates == (made.leaf,)
    found = check(made.leaf, roots=(made.issuing,), intermediates=())
    assert found.root == made.issuing


def test_the_newest_list_is_the_one_that_counts() -> None:
    made = authority()
    held = RevokedCertificate(
        made.leaf.serial_number, NOW_MS - 2 * DAY_MS, RevocationReason.CERTIFICATE_HOLD
    )
    old = made.crl(held, number=1, this_update_ms=NOW_MS - 2 * DAY_MS)
    new = made.crl(number=2)
    assert check(made.leaf, crls=(old, new)).lists == (new,)
    assert refused(made.leaf, crls=(old,)) == "revoked"


def test_validity_ends_with_its_last_second() -> None:
    made = authority()
    for at_ms, code in (
        (BEGIN_MS - 1, "not_yet_valid"),
        (BEGIN_MS, None),
        (made.leaf.not_after_ms + 999, None),
        (made.leaf.not_after_ms + 1000, "expired"),
    ):
        if code is None:
            check(made.leaf, at_ms=at_ms)
        else:
            assert refused(made.leaf, at_ms=at_ms) == code


# -- revocation in time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "profile", "before_holds"),
    [
        (RevocationReason.SUPERSEDED, TIMESTAMP, True),
        (RevocationReason.CESSATION_OF_OPERATION, TIMESTAMP, True),
        (RevocationReason.AFFILIATION_CHANGED, TIMESTAMP, True),
        (RevocationReason.UNSPECIFIED, TIMESTAMP, True),
        (RevocationReason.KEY_COMPROMISE, TIMESTAMP, False),
        (None, TIMESTAMP, False),
        (RevocationReason.KEY_COMPROMISE, SEAL, True),
        (None, SEAL, True),
    ],
)
def test_a_leaf_that_is_revoked_later_holds_before_unless_its_times_are_its_own_word(
    reason: RevocationReason | None, profile: Profile, before_holds: bool
) -> None:
    made = authority()
    leaf = made.issue(profile)
    entry = RevokedCertificate(leaf.serial_number, NOW_MS - DAY_MS, reason)
    crls = (made.crl(entry),)
    for at_ms in (NOW_MS - DAY_MS, NOW_MS):
        assert refused(leaf, profile=profile, crls=crls, at_ms=at_ms) == "revoked"
    before = {"profile": profile, "crls": crls, "at_ms": NOW_MS - DAY_MS - 1}
    if before_holds:
        assert check(leaf, **before).revoked_later == entry
    else:
        with pytest.raises(ProofInvalid, match="nothing shows that it was used"):
            check(leaf, **before)


@pytest.mark.parametrize(
    ("reason", "code"),
    [(RevocationReason.CA_COMPROMISE, "revoked"), (RevocationReason.SUPERSEDED, None)],
)
def test_an_authority_whose_key_was_stolen_vouches_for_nothing(
    reason: RevocationReason, code: str | None
) -> None:
    made = authority()
    entry = RevokedCertificate(made.issuing.serial_number, NOW_MS - DAY_MS, reason)
    given = {"crls": (made.crl(entry, by_root=True),), "at_ms": NOW_MS - 2 * DAY_MS}
    if code is None:
        assert check(made.leaf, **given).revoked_later is None
    else:
        assert refused(made.leaf, **given) == code


def test_a_list_that_should_have_been_replaced_by_then_is_stale() -> None:
    made = authority()
    crls = (made.crl(next_update_ms=NOW_MS),)
    assert refused(made.leaf, crls=crls) == "crl_stale"
    check(made.leaf, crls=crls, at_ms=NOW_MS - 1)


def test_a_list_with_a_signature_that_does_not_hold_is_refused_and_not_skipped() -> None:
    made = authority()
    encoded = made.crl().encoded
    forged = decode_crl(
        encoded.replace(
            bytes.fromhex("551d14") + b"\4\3\2\1\1", bytes.fromhex("551d14") + b"\4\3\2\1\2"
        )
    )
    assert forged.number == 2
    assert refused(made.leaf, crls=(forged,)) == "bad_signature"


# -- paths that do not ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "change"),
    [
        pytest.param(
            "extended_key_usage",
            lambda e: e.update({"2.5.29.37": (False, e["2.5.29.37"][1])}),
            id="extended key usage not critical",
        ),
        pytest.param(
            "extended_key_usage",
            lambda e: e.update({"2.5.29.37": (True, asn1.ExtKeyUsageSyntax(["time_stamping", "code_signing"]).dump())}),
            id="two extended key usages",
        ),
        pytest.param(
            "extended_key_usage",
            lambda e: e.update({"2.5.29.37": (True, asn1.ExtKeyUsageSyntax(["code_signing"]).dump())}),
            id="another extended key usage",
        ),
        pytest.param(
            "extended_key_usage", lambda e: e.pop("2.5.29.37"), id="no extended key usage"
        ),
        pytest.param(
            "key_usage",
            lambda e: e.update({"2.5.29.15": (True, asn1.KeyUsage({"key_encipherment"}).dump())}),
            id="another key usage",
        ),
        pytest.param(
            "key_usage",
            lambda e: e.update({"2.5.29.15": (True, asn1.KeyUsage({"digital_signature", "key_agreement"}).dump())}),
            id="more key usages",
        ),
        pytest.param(
            "critical_extension",
            lambda e: e.update({"1.2.3.4": (True, b"\x05\x00")}),
            id="unknown and critical",
        ),
        pytest.param(
            "critical_extension",
            lambda e: e.update({"2.5.29.30": (True, bytes.fromhex("3000"))}),
            id="name constraints",
        ),
    ],
)  # fmt: skip
def test_a_leaf_that_says_the_wrong_things_is_refused(
    code: str, change: Callable[[dict[str, Any]], None]
) -> None:
    assert refused(altered(change)) == code


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda e: e.pop("2.5.29.15"), id="no key usage"),
        pytest.param(lambda e: e.update({"1.2.3.4": (False, b"\x05\x00")}), id="unknown"),
        pytest.param(lambda e: e.pop("2.5.29.19"), id="no basic constraints"),
        pytest.param(lambda e: e.pop("2.5.29.35"), id="no authority key identifier"),
        pytest.param(lambda e: e.pop("2.5.29.32"), id="no policy"),
    ],
)
def test_a_leaf_that_says_less_or_more_than_ours_is_accepted(
    change: Callable[[dict[str, Any]], None],
) -> None:
    check(altered(change))


@pytest.mark.parametrize(
    ("why", "oid", "value"),
    [
        ("path length that means nothing", "2.5.29.19", "3003020100"),
        ("path length that means nothing", "2.5.29.19", "30060101ff0201ff"),
        ("no use", "2.5.29.37", "3000"),
        ("extension 2.5.29.15", "2.5.29.15", "0303060001"),
        ("extension 2.5.29.15", "2.5.29.15", "3000"),
        ("extension 2.5.29.14", "2.5.29.14", "0500"),
        ("extension 2.5.29.14", "2.5.29.14", "0401"),
        ("extension 2.5.29.35", "2.5.29.35", "0500"),
        ("extension 2.5.29.32", "2.5.29.32", "0500"),
        ("time", "2.5.29.16", "3003800130"),
        ("extension 2.5.29.31", "2.5.29.31", "3001"),
    ],
)
def test_a_known_extension_that_cannot_be_read_is_refused(why: str, oid: str, value: str) -> None:
    with pytest.raises(DecodeError, match=why):
        altered(lambda e: e.update({oid: (False, bytes.fromhex(value))}))


def test_an_unknown_extension_may_hold_anything_and_there_are_only_so_many() -> None:
    def many(number: int) -> Callable[[dict[str, Any]], None]:
        return lambda e: e.update({f"1.2.3.{n}": (False, b"\xff") for n in range(number)})

    check(altered(many(20)))
    check(altered(lambda e: e.update({"2.5.29.17": (False, b"\xff")})))
    with pytest.raises(DecodeError, match="expected at most 32"):
        altered(many(32))


def test_places_that_are_not_on_the_web_are_left_out() -> None:
    names = [
        asn1.GeneralName("uniform_resource_identifier", "ldap://ca.example/cn=a"),
        asn1.GeneralName("dns_name", "ca.example"),
        asn1.GeneralName("uniform_resource_identifier", "https://ca.example/a.crl"),
    ]
    points = asn1.CRLDistributionPoints(
        [{"distribution_point": asn1.DistributionPointName("full_name", names)}]
    ).dump()
    leaf = altered(lambda e: e.update({"2.5.29.31": (False, points)}))
    assert leaf.extensions.crl_urls == ("https://ca.example/a.crl",)


def test_a_seal_needs_content_commitment_and_no_use_that_excludes_it() -> None:
    usage = asn1.KeyUsage({"digital_signature"}).dump()
    no_commitment = altered(lambda e: e.update({"2.5.29.15": (True, usage)}), SEAL)
    assert refused(no_commitment, profile=SEAL) == "key_usage"
    uses = asn1.ExtKeyUsageSyntax(["server_auth"]).dump()
    for_servers = altered(lambda e: e.update({"2.5.29.37": (False, uses)}), SEAL)
    assert refused(for_servers, profile=SEAL) == "extended_key_usage"
    uses = asn1.ExtKeyUsageSyntax(["1.3.6.1.5.5.7.3.36", "client_auth"]).dump()
    check(altered(lambda e: e.update({"2.5.29.37": (False, uses)}), SEAL), profile=SEAL)
    assert refused(authority().leaf, profile=SEAL) == "extended_key_usage"


def test_a_leaf_of_somebody_else_has_no_way_to_our_root() -> None:
    other = authority(SM2_SM3).leaf
    signer = signer_of(P256_SHA256, "stranger")
    stranger = issue_root(terms(signer, ROOT, subject=parse_name("CN=stranger")), signer)
    leaf = issue_certificate(terms(signer_of(P256_SHA256, "leaf")), stranger, signer)
    assert is_untold(leaf)
    assert is_untold(authority().leaf, intermediates=())
    assert is_untold(authority().leaf, roots=())
    assert is_untold(other, intermediates=(authority(SM2_SM3).issuing,))


def test_somebody_with_the_name_of_our_authority_is_found_out_by_the_signature() -> None:
    made, signer = authority(), signer_of(P256_SHA256, "impostor")
    impostor = issue_root(terms(signer, ROOT, subject=made.issuing.subject), signer)
    forged = issue_certificate(terms(made.leaf_signer), impostor, signer)
    assert is_untold(forged)  # its key identifier is another
    unnamed = decode_x509_certificate(
        forged.encoded.replace(impostor.key.identifier, made.issuing.key.identifier)
    )
    assert refused(unnamed) == "bad_signature"


def test_a_leaf_cannot_be_an_authority() -> None:
    made = authority()
    below = _issue_anyway(
        terms(signer_of(P256_SHA256, "x"), subject=parse_name("CN=x")), made.leaf, made.leaf_signer
    )
    found = refused(below, intermediates=(made.leaf, made.issuing))
    assert found == "not_an_authority"


def test_an_authority_below_one_that_may_have_none_is_refused() -> None:
    made, signer = authority(), signer_of(P256_SHA256, "too deep")
    deep = _issue_anyway(
        terms(signer, ISSUING, subject=parse_name("CN=deep")), made.issuing, made.issuing_signer
    )
    leaf = issue_certificate(terms(made.leaf_signer), deep, signer)
    assert refused(leaf, intermediates=(deep, made.issuing)) == "path_length"


def test_a_path_has_at_most_five_certificates() -> None:
    signers = [signer_of(P256_SHA256, f"level {n}") for n in range(6)]
    profile = Profile(
        name="deep",
        is_authority=True,
        path_length=None,
        key_usage=ROOT.key_usage,
        needs_one_of=ROOT.needs_one_of,
    )
    chain = [issue_root(terms(signers[0], profile, subject=parse_name("CN=0")), signers[0])]
    for n in range(1, 6):
        made = terms(signers[n], profile, subject=parse_name(f"CN={n}"))
        chain.append(issue_certificate(made, chain[-1], signers[n - 1]))
    root, *between = chain
    assert (
        len(
            check(
                chain[4], intermediates=tuple(between), roots=(root,), profile=ISSUING
            ).certificates
        )
        == 5
    )
    assert is_untold(chain[5], intermediates=tuple(between), roots=(root,), profile=ISSUING)


def test_a_circle_of_authorities_leads_nowhere() -> None:
    one, two = signer_of(P256_SHA256, "one"), signer_of(P256_SHA256, "two")
    names = parse_name("CN=one"), parse_name("CN=two")
    profile = Profile(
        name="deep", is_authority=True, key_usage=ROOT.key_usage, needs_one_of=ROOT.needs_one_of
    )
    first = issue_root(terms(one, profile, subject=names[0]), one)
    second = issue_certificate(terms(two, profile, subject=names[1]), first, one)
    back = _issue_anyway(terms(one, profile, subject=names[0]), second, two)
    leaf = issue_certificate(terms(signer_of(P256_SHA256, "leaf")), back, one)
    many = tuple(
        issue_root(terms(one, profile, subject=names[0]), one) for _ in range(MAX_INTERMEDIATES - 3)
    )
    assert is_untold(leaf, intermediates=(second, back, first, *many))


def test_of_two_certificates_of_one_authority_the_one_that_holds_is_found() -> None:
    made = authority()
    expired = issue_certificate(
        terms(made.issuing_signer, ISSUING, not_after_ms=BEGIN_MS + DAY_MS),
        made.root,
        made.root_signer,
    )
    assert check(made.leaf, intermediates=(expired, made.issuing)).certificates[1] == made.issuing
    assert refused(made.leaf, intermediates=(expired,)) == "expired"


def test_a_key_signs_within_the_period_that_its_certificate_names() -> None:
    leaf = authority().issue(key_used_until_ms=NOW_MS)
    check(leaf, at_ms=NOW_MS + 999)
    assert refused(leaf, at_ms=NOW_MS + 1000) == "key_usage_period"


def test_what_one_check_is_given_is_bounded() -> None:
    made = authority()
    for given in (
        {"intermediates": (made.issuing,) * (MAX_INTERMEDIATES + 1)},
        {"roots": (made.root,) * (MAX_ROOTS + 1)},
        {"crls": (made.crl(),) * (MAX_INTERMEDIATES + 1)},
    ):
        with pytest.raises(Refused) as caught:
            check(made.leaf, **given)
        assert caught.value.error_code == "too_many"


def _issue_anyway(made: Terms, issuer: X509Certificate, signer: Any) -> X509Certificate:
    """Issue what `issue_certificate` refuses: by an authority of the same name and key that may do it."""
    profile = Profile(
        name="any", is_authority=True, key_usage=ROOT.key_usage, needs_one_of=ROOT.needs_one_of
    )
    able = issue_root(
        terms(signer, profile, subject=issuer.subject, not_after_ms=NOW_MS + 9000 * DAY_MS), signer
    )
    return issue_certificate(made, able, signer)


def test_cryptography_finds_the_same_path() -> None:
    """Its verifier knows TLS only, so what is about names and use of the leaf is left out."""
    made = authority()
    root, between, leaf = (
        x509.load_der_x509_certificate(c.encoded) for c in (made.root, made.issuing, made.leaf)
    )
    verifier = (
        PolicyBuilder()
        .store(Store([root]))
        .time(dt.datetime.fromtimestamp(NOW_MS // 1000, dt.UTC))
        .extension_policies(
            ee_policy=ExtensionPolicy.permit_all(),
            ca_policy=ExtensionPolicy.webpki_defaults_ca(),
        )
        .build_client_verifier()
    )
    assert verifier.verify(leaf, [between]).chain == [leaf, between, root]
    with pytest.raises(VerificationError):
        verifier.verify(leaf, [])


# -- certificates of licensed authorities -----------------------------------------------------------------------


def foreign_path(
    key: Any,
    hash_: Any,
    root_usage: Collection[str] | None = frozenset(
        {"digital_signature", "key_cert_sign", "crl_sign"}
    ),
) -> tuple[X509Certificate, X509Certificate]:
    """Return a root and a timestamp leaf that cryptography makes, in the words of others."""
    begin, end = (
        dt.datetime.fromtimestamp(ms // 1000, dt.UTC) for ms in (BEGIN_MS, NOW_MS + 365 * DAY_MS)
    )
    root_name, leaf_name = (
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
        for text in ("licensed", "tsa")
    )
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip

    def usage(found: Collection[str]) -> x509.KeyUsage:
        return x509.KeyUsage(**{name: name in found for name in names})

    builder = (
        x509.CertificateBuilder().subject_name(root_name).issuer_name(root_name)
        .public_key(key.public_key()).serial_number(5).not_valid_before(begin).not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )  # fmt: skip
    if root_usage is not None:
        builder = builder.add_extension(usage(root_usage), critical=True)
    root = builder.sign(key, hash_)
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    leaf = (
        x509.CertificateBuilder().subject_name(leaf_name).issuer_name(root_name)
        .public_key(leaf_key.public_key()).serial_number(6).not_valid_before(begin).not_valid_after(end)
        .add_extension(usage({"digital_signature"}), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("tsa.example")]), critical=False)
        .sign(key, hash_)
    )  # fmt: skip
    return (
        decode_x509_certificate(root.public_bytes(Encoding.DER)),
        decode_x509_certificate(leaf.public_bytes(Encoding.DER)),
    )


@pytest.mark.parametrize(
    ("make_key", "hash_", "kind"),
    [
        pytest.param(lambda: rsa.generate_private_key(65537, 2048), hashes.SHA256(), KeyKind.RSA, id="RSA"),
        pytest.param(lambda: rsa.generate_private_key(65537, 2048), hashes.SHA512(), KeyKind.RSA, id="RSA, SHA-512"),
        pytest.param(lambda: ec.generate_private_key(ec.SECP384R1()), hashes.SHA384(), KeyKind.P384, id="P-384"),
        pytest.param(lambda: ec.generate_private_key(ec.SECP256R1()), hashes.SHA384(), KeyKind.P256, id="P-256, SHA-384"),
    ],
)  # fmt: skip
def test_a_path_of_a_licensed_authority_holds(
    make_key: Callable[[], Any], hash_: Any, kind: KeyKind
) -> None:
    root, leaf = foreign_path(make_key(), hash_)
    assert root.key.kind is kind
    assert check(leaf, intermediates=(), roots=(root,)).root == root
    forged = leaf.encoded.replace(b"tsa.example", b"tsb.example")
    assert (
        refused(decode_x509_certificate(forged), intermediates=(), roots=(root,)) == "bad_signature"
    )


def test_an_authority_says_what_its_key_may_do() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    root, leaf = foreign_path(key, hashes.SHA256(), root_usage=None)
    assert refused(leaf, intermediates=(), roots=(root,)) == "key_usage"
    root, leaf = foreign_path(key, hashes.SHA256(), root_usage={"digital_signature"})
    assert refused(leaf, intermediates=(), roots=(root,)) == "key_usage"


def test_keys_and_hashes_that_are_too_weak_are_read_and_not_believed() -> None:
    for make_key, hash_ in (
        (ec.generate_private_key(ec.SECP256R1()), hashes.SHA224()),
        (ec.generate_private_key(ec.SECP521R1()), hashes.SHA512()),
        (rsa.generate_private_key(65537, 1024), hashes.SHA256()),
    ):
        root, leaf = foreign_path(make_key, hash_)
        assert refused(leaf, intermediates=(), roots=(root,)) == "unsupported_algorithm"
