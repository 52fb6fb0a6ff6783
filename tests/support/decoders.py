"""Every decoder of bytes or text from outside, with valid encodings to start from: what fuzzing is made of.

Used by the suite (`tests/fuzz/test_decoders.py`) and by the coverage-guided run (`tests/fuzz/coverage_guided.py`).
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from chainnode.config import FILE_NAME, MAX_CONFIG_BYTES, load_config, parse_settings, render
from chainnode.engine.message_codec import decode_message, encode_message
from chainnode.engine.messages import UnknownMessage
from chainnode.engine.vote_records import decode_records, encode_records
from chainnode.keystore.key_file import decode_key_file, encode_key_file
from chainnode.keystore.tls import public_key_of_certificate
from chainnode.ledger.leader_history import decode_failed_turns
from chainnode.ledger.tip import decode_tip_record
from chainnode.model import codec
from chainnode.model.calls import Document, parse_document, parse_key_offer
from chainnode.model.checkpoint import parse_checkpoint
from chainnode.model.commitment import digests_value, parse_digests
from chainnode.model.errors import (
    ChainError,
    DecodeError,
    InvariantViolation,
    StorageFault,
    Unavailable,
)
from chainnode.model.evidence import decode_evidence
from chainnode.model.forensics import decode_testimony, encode_testimony
from chainnode.model.member import decode_member, verify_member
from chainnode.model.notarization import parse_notarization
from chainnode.model.note import (
    decode_base64,
    encode_base64,
    parse_decimal,
    parse_note,
    parse_verifier_key,
)
from chainnode.model.rpc_auth import canonical_json
from chainnode.model.sntp import decode_answer
from chainnode.model.state_tree import decode_state_proof
from chainnode.model.tlog_policy import parse_policy
from chainnode.model.tlog_proof import parse_proof
from chainnode.model.tlog_tiles import decode_entries, encode_entries, parse_tile_path
from chainnode.model.tls_certificate import read_tls_certificate
from chainnode.p2p.frame import join_frame, split_frame
from chainnode.p2p.hello import Hello, decode_hello
from chainnode.rpc.base64_text import from_base64
from chainnode.rpc.client import parse_json
from chainnode.rpc.json_text import encode_json, parse_request
from chainnode.rpc.shapes import Base64
from chainnode.storage.append_file import MemoryFile
from chainnode.storage.vote_log import VoteLog, VoteRecord
from cli.command import parse_account
from cli.genesis import parse_parameter
from cli.init import parse_account_roles
from cli.lookup import parse_what
from cli.offers import read_offer
from cli.show import parse_tx_id
from consensus.effects import Locked, Proposed, ViewEntered, Voted
from consensus.messages import Justification, Prepare, Proposal, Propose, ValidatorIndex, View
from contracts.identity.records import (
    decode_account,
    decode_admins,
    decode_key,
    decode_organisation,
    encode_admins,
)
from contracts.notary import parse_arguments
from tests.support.alliance import Alliance
from tests.support.claims import HEIGHT, LEADERS, book_of, certificate, know_all, view_change, vote
from tests.support.contracts import Chain as ContractChain
from tests.support.formats import SUITES, samples
from tests.support.golden import load_golden

if TYPE_CHECKING:
    from collections.abc import Callable

_TESTS = Path(__file__).parents[1]
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """One way in."""

    function: str
    """The product's function that is fuzzed, by its dotted name; the page `docs/testing.md` lists it."""

    decode: Callable[[bytes], Any]
    """Bytes to a value; raises one of `errors`, and nothing else."""

    seeds: tuple[bytes, ...]
    """Valid encodings."""

    shape: str = "canonical"
    """What they are made of: a key of `mutations.SHAPES`."""

    encode: Callable[[Any], bytes] | None = None
    """The way back, if there is one."""

    has_one_form: bool = True
    """Whether a value has one encoding, so that what was read is written as it came."""

    errors: tuple[type[Exception], ...] = (DecodeError,)
    """Its one named error."""


@functools.cache
def decoders() -> dict[str, Decoder]:
    """Return every decoder by a short name."""
    return (
        _chain_formats() | _peer_formats() | _log_formats() | _file_formats() | _state_formats()
        | _rpc_formats() | _words()
    )  # fmt: skip


def check(decoder: Decoder, data: bytes) -> Any:
    """Decode; whatever is accepted must be written again as it was read. Return it, or None."""
    try:
        value = decoder.decode(data)
    except decoder.errors:
        return None
    if decoder.encode is not None:
        written = decoder.encode(value)
        if decoder.has_one_form:
            assert written == data, "another encoding of the same value was accepted"
        else:
            assert decoder.decode(written) == value
    return value


def _of_value(parse: Callable[[Any], Any]) -> Callable[[bytes], Any]:
    return lambda data: parse(codec.decode(data, max_bytes=_MAX_BYTES))


def _of_text(parse: Callable[[str], Any]) -> Callable[[bytes], Any]:
    # Whatever bytes say, these functions are given text; half surrogates included, as JSON can bring them.
    return lambda data: parse(data.decode("utf-8", "surrogateescape"))


def _chain_formats() -> dict[str, Decoder]:
    names = {
        "genesis": "genesis.decode_genesis",
        "parameters": "parameters.parse_parameters",
        "validators": "validators.decode_validator_set",
        "body": "transaction.decode_body",
        "transaction": "transaction.decode_transaction",
        "record": "record.decode_record",
        "parent_record": "record.decode_record",
        "opening": "commitment.parse_opening",
        "receipt": "receipt.decode_receipt",
        "failed_receipt": "receipt.decode_receipt",
        "first_header": "header.decode_header",
        "header": "header.decode_header",
        "certificate": "certificate.decode_certificate",
        "outline": "block.decode_outline",
        "certified_block": "block.decode_certified_block",
        "cosigned_checkpoint": "cosigned.decode_cosigned",
    }
    found: dict[str, Decoder] = {}
    for suite in SUITES:
        for name, known in samples(suite).formats().items():
            label = name if suite == SUITES[0] else f"{name} of {suite}"
            found[label] = Decoder(
                function=f"chainnode.model.{names[name]}",
                decode=known.decode,
                encode=known.encode,
                seeds=(known.encoded,),
            )
    sample = samples(SUITES[0])
    digests = sample.opening.digests
    document = Document(digests=digests, title="一", metadata_hash=bytes(32))
    proofs = tuple(
        bytes.fromhex(proof["proof"])
        for vector in load_golden("state_tree")
        for proof in vector["proofs"]
    )
    longest = sorted(set(proofs), key=len)
    offer = ContractChain().offer("archive/new", "any").as_value()
    return found | {
        "value": Decoder(
            function="chainnode.model.codec.decode",
            decode=lambda data: codec.decode(data, max_bytes=_MAX_BYTES),
            encode=codec.encode,
            seeds=tuple(d.seeds[0] for d in found.values()),
        ),
        "array": Decoder(
            function="chainnode.model.codec.decode_array",
            decode=lambda data: codec.decode_array(
                data, max_bytes=_MAX_BYTES, arity=3, what="array"
            ),
            encode=codec.encode,
            seeds=(codec.encode((1, "a", (b"b",))),),
        ),
        "evidence": Decoder(
            function="chainnode.model.evidence.decode_evidence",
            decode=decode_evidence,
            encode=lambda e: e.encode(),
            seeds=tuple(bytes.fromhex(v["evidence"]) for v in load_golden("evidence").values()),
        ),
        "testimony": Decoder(
            function="chainnode.model.forensics.decode_testimony",
            decode=decode_testimony,
            encode=lambda found: encode_testimony(found[0].height, found),
            seeds=tuple(
                encode_testimony(e.height, (e.first, e.second))
                for e in (
                    decode_evidence(bytes.fromhex(v["evidence"]))
                    for v in load_golden("evidence").values()
                )
            ),
        ),
        "digests": Decoder(
            function="chainnode.model.commitment.parse_digests",
            decode=_of_value(parse_digests),
            encode=lambda d: codec.encode(digests_value(d)),
            seeds=(codec.encode(digests_value(digests)),),
        ),
        "document": Decoder(
            function="chainnode.model.calls.parse_document",
            decode=_of_value(parse_document),
            encode=lambda d: codec.encode(d.as_value()),
            seeds=(codec.encode(document.as_value()),),
        ),
        "key offer": Decoder(
            function="chainnode.model.calls.parse_key_offer",
            decode=_of_value(parse_key_offer),
            encode=lambda o: codec.encode(o.as_value()),
            seeds=(codec.encode(offer),),
        ),
        "state proof": Decoder(
            function="chainnode.model.state_tree.decode_state_proof",
            decode=decode_state_proof,
            encode=lambda p: p.encode(),
            seeds=(longest[0], longest[len(longest) // 2], longest[-1]),
        ),
        "notary arguments": Decoder(
            function="contracts.notary.parse_arguments",
            decode=_of_value(parse_arguments),
            encode=codec.encode,
            seeds=(codec.encode((bytes(32), (document.as_value(),))),),
        ),
    }


def _peer_formats() -> dict[str, Decoder]:
    hello = Hello(
        version=1,
        chain_id="registry.example/1",
        genesis_hash=bytes(32),
        sender="ash",
        receiver="birch",
        dialled=True,
    )
    messages = {
        f"message {name}": Decoder(
            function="chainnode.engine.message_codec.decode_message",
            decode=_known_message,
            encode=encode_message,
            seeds=(bytes.fromhex(vector["bytes"]),),
        )
        for name, vector in load_golden("messages").items()
    }
    return messages | {
        "hello": Decoder(
            function="chainnode.p2p.hello.decode_hello",
            decode=decode_hello,
            encode=lambda h: h.encode(),
            seeds=(hello.encode(),),
        ),
        "frame": Decoder(
            function="chainnode.p2p.frame.split_frame",
            decode=split_frame,
            encode=join_frame,
            seeds=(join_frame([b"a", b"bc", bytes(300)]), join_frame([bytes(70_000)])),
            shape="bytes",
        ),
    }


def _log_formats() -> dict[str, Decoder]:
    found: dict[str, Decoder] = {}
    for suite in SUITES:
        of = "" if suite == SUITES[0] else f" of {suite}"
        proof = (_TESTS / "golden" / f"log-{suite}.tlog-proof").read_bytes()
        policy = (_TESTS / "golden" / f"log-{suite}.policy").read_bytes()
        alliance = Alliance(suite)
        parsed = alliance.notarization()
        own = alliance.policy()
        found |= {
            f"note{of}": Decoder(
                function="chainnode.model.note.parse_note",
                decode=parse_note,
                encode=lambda n: n.encode(),
                seeds=(parsed.note.encode(),),
                shape="lines",
            ),
            f"checkpoint{of}": Decoder(
                function="chainnode.model.checkpoint.parse_checkpoint",
                decode=_of_text(parse_checkpoint),
                encode=lambda c: c.text().encode("utf-8", "surrogateescape"),
                seeds=(parsed.note.text.encode(),),
                shape="lines",
            ),
            f"verifier key{of}": Decoder(
                function="chainnode.model.note.parse_verifier_key",
                decode=_of_text(parse_verifier_key),
                encode=lambda k: k.vkey().encode("utf-8", "surrogateescape"),
                seeds=(own.logs[0].key.vkey().encode(), own.witnesses[0].key.vkey().encode()),
                shape="lines",
            ),
            f"policy{of}": Decoder(
                function="chainnode.model.tlog_policy.parse_policy",
                decode=parse_policy,
                encode=lambda p: p.encode(),
                seeds=(policy, own.encode()),
                shape="lines",
                has_one_form=False,
            ),
            f"proof{of}": Decoder(
                function="chainnode.model.tlog_proof.parse_proof",
                decode=parse_proof,
                encode=lambda p: p.encode(),
                seeds=(proof, parsed.encode()),
                shape="lines",
            ),
            f"notarization{of}": Decoder(
                function="chainnode.model.notarization.parse_notarization",
                decode=parse_notarization,
                encode=lambda n: n.extra(),
                seeds=(parsed.extra or b"",),
            ),
        }
    return found | {
        "tile path": Decoder(
            function="chainnode.model.tlog_tiles.parse_tile_path",
            decode=_of_text(parse_tile_path),
            encode=lambda t: t.text().encode(),
            seeds=(b"tile/0/x001/067.p/3", b"tile/entries/000", b"tile/63/x999/x999/999"),
            shape="bytes",
        ),
        "entries": Decoder(
            function="chainnode.model.tlog_tiles.decode_entries",
            decode=decode_entries,
            encode=encode_entries,
            seeds=(encode_entries((b"a", b"bc", bytes(300))), encode_entries((b"",) * 256)),
            shape="bytes",
        ),
        "base64": Decoder(
            function="chainnode.model.note.decode_base64",
            decode=_of_text(lambda text: decode_base64(text, "text")),
            encode=lambda b: encode_base64(b).encode(),
            seeds=(b"", b"AA==", b"AAECAwQF"),
            shape="bytes",
        ),
        "decimal": Decoder(
            function="chainnode.model.note.parse_decimal",
            decode=_of_text(lambda text: parse_decimal(text, "number", 2**63 - 1)),
            encode=lambda n: str(n).encode(),
            seeds=(b"0", b"17", str(2**63 - 1).encode()),
            shape="lines",
        ),
    }


def _file_formats() -> dict[str, Decoder]:
    sample = samples(SUITES[0])
    offer = ContractChain().offer("archive/new", "any").as_value()
    line = f"chainnode-key-offer archive/new {encode_base64(codec.encode(offer))}\n".encode()
    config = render({"node.validator": "ash"})
    return {
        "member": Decoder(
            function="chainnode.model.member.decode_member",
            decode=decode_member,
            encode=lambda m: m.encode(),
            seeds=(load_golden("member")["file"].encode(),),
            shape="json",
        ),
        "verified member": Decoder(
            function="chainnode.model.member.verify_member",
            decode=_verified_member,
            seeds=(load_golden("member")["file"].encode(),),
            shape="json",
            errors=(ChainError,),
        ),
        "key file": Decoder(
            function="chainnode.keystore.key_file.decode_key_file",
            decode=decode_key_file,
            encode=encode_key_file,
            seeds=((_TESTS / "keystore" / "golden" / "alice.key").read_bytes(),),
            shape="json",
            has_one_form=False,
        ),
        "sealed key file": Decoder(
            function="chainnode.keystore.key_file.decode_key_file",
            decode=lambda data: decode_key_file(_with_checksum(data)),
            seeds=((_TESTS / "keystore" / "golden" / "alice.key").read_bytes(),),
            shape="json",
        ),
        "settings": Decoder(
            function="chainnode.config.parse_settings",
            decode=_of_text(parse_settings),
            seeds=(_uncommented(config),),
            shape="lines",
            errors=(ChainError,),
        ),
        "config file": Decoder(
            function="chainnode.config.load_config",
            decode=_of_file(FILE_NAME, lambda path: load_config(path.parent)),
            seeds=(_uncommented(config),),
            shape="lines",
            errors=(ChainError,),
        ),
        "offer file": Decoder(
            function="cli.offers.read_offer",
            decode=_of_file("offer", lambda path: read_offer(path, "archive/new")),
            seeds=(line,),
            shape="lines",
        ),
        "SNTP answer": Decoder(
            function="chainnode.model.sntp.decode_answer",
            decode=lambda data: decode_answer(data, bytes(8)),
            seeds=(
                bytes((0x24, 1))
                + bytes(30)
                + bytes.fromhex("ee0000008000000000000001ee00000080000000")[:16],
            ),
            shape="bytes",
        ),
        "TLS certificate": Decoder(
            function="chainnode.model.tls_certificate.read_tls_certificate",
            decode=read_tls_certificate,
            seeds=tuple(v.tls_certificate for v in sample.chain.genesis.validators),
            shape="bytes",
        ),
        "TLS key": Decoder(
            function="chainnode.keystore.tls.public_key_of_certificate",
            decode=public_key_of_certificate,
            seeds=(_p256_certificate(),),
            shape="bytes",
        ),
        "vote log": Decoder(
            function="chainnode.storage.vote_log.VoteLog.open",
            decode=_open_vote_log,
            seeds=(_vote_log(sample.chain.genesis.domain.genesis_hash),),
            shape="bytes",
            errors=(StorageFault,),
        ),
        "vote records": Decoder(
            function="chainnode.engine.vote_records.decode_records",
            decode=_read_vote_records,
            seeds=_vote_records(),
            errors=(StorageFault,),
        ),
        "failed turns": Decoder(
            function="chainnode.ledger.leader_history.decode_failed_turns",
            decode=lambda data: decode_failed_turns(7, data),
            encode=lambda t: t.encode(),
            seeds=(codec.encode((1, ("ash", "birch"))),),
        ),
        "tip record": Decoder(
            function="chainnode.ledger.tip.decode_tip_record",
            decode=decode_tip_record,
            encode=lambda t: t.encode(),
            seeds=(codec.encode((1, 7, bytes(32), 9, bytes(32), bytes(32), 3)),),
        ),
    }


def _state_formats() -> dict[str, Decoder]:
    ours = (InvariantViolation,)
    key = codec.encode((1, "archive/new", "account", 0, 2**63 - 1, 0))
    return {
        "organisation": Decoder(
            function="contracts.identity.records.decode_organisation",
            decode=decode_organisation,
            encode=lambda r: r.encode(),
            seeds=(codec.encode((1, "司法局")),),
            errors=ours,
        ),
        "account": Decoder(
            function="contracts.identity.records.decode_account",
            decode=decode_account,
            encode=lambda r: r.encode(),
            seeds=(codec.encode((1, ("admin", "notary"), False, (bytes(32), bytes(33)))),),
            errors=ours,
        ),
        "key": Decoder(
            function="contracts.identity.records.decode_key",
            decode=decode_key,
            encode=lambda r: r.encode(),
            seeds=(key,),
            errors=ours,
        ),
        "admins": Decoder(
            function="contracts.identity.records.decode_admins",
            decode=decode_admins,
            encode=encode_admins,
            seeds=(codec.encode(("archive/admin", "justice/admin")),),
            errors=ours,
        ),
    }


def _rpc_formats() -> dict[str, Decoder]:
    request = json.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "state_get",
            "params": {
                "key": "aWRlbnRpdHkv",
                "prove": True,
                "height": 0,
                "a": [None, {"b": "\u4e00"}],
            },
        },
        indent=2,
    ).encode()
    return {
        "request": Decoder(
            function="chainnode.rpc.json_text.parse_request",
            decode=_of_utf8(parse_request),
            encode=lambda value: encode_json(value).encode(),
            has_one_form=False,
            seeds=(request,),
            shape="json",
        ),
        "signed parameters": Decoder(
            function="chainnode.model.rpc_auth.canonical_json",
            decode=_of_utf8(lambda text: canonical_json(parse_request(text))),  # type: ignore[arg-type]
            seeds=(request,),
            shape="json",
        ),
        "answer": Decoder(
            function="chainnode.rpc.client.parse_json",
            decode=parse_json,
            seeds=(request,),
            shape="json",
            errors=(Unavailable,),
        ),
        "base64 of an answer": Decoder(
            function="chainnode.rpc.base64_text.from_base64",
            decode=_of_text(from_base64),
            seeds=(b"", b"AA==", b"AAECAwQF"),
            shape="bytes",
        ),
        "base64 of a request": Decoder(
            function="chainnode.rpc.shapes.parse_parameters",
            decode=_of_text(lambda text: Base64(most_bytes=64).parse(text, "key")),
            encode=lambda b: encode_base64(b).encode(),
            seeds=(b"", b"AA==", b"AAECAwQF"),
            shape="bytes",
        ),
    }


def _words() -> dict[str, Decoder]:
    """Words of the command line: any bytes but zero."""
    errors = (DecodeError, click.BadParameter)
    return {
        f"word for {parse.__name__}": Decoder(
            function=f"{parse.__module__}.{parse.__name__}",
            decode=lambda data, parse=parse: parse(os.fsdecode(data.replace(b"\0", b""))),
            seeds=seeds,
            shape="lines",
            errors=errors,
        )
        for parse, seeds in (
            (parse_account, (b"archive/new",)),
            (parse_parameter, (b"timeout_ms=1000",)),
            (parse_account_roles, (b"archive/new:admin,notary", b"archive/new")),
            (parse_what, (b"ab" * 32, b"sm3:" + b"ab" * 32, b"sha512:" + b"ab" * 64)),
            (parse_tx_id, (b"ab" * 32,)),
        )
    }


# -- what needs a little around it ---------------------------------------------------------------------------


def _known_message(data: bytes) -> Any:
    message = decode_message(data)
    if isinstance(message, UnknownMessage):
        raise DecodeError("of a newer version: nothing of it is kept that could be written again")
    return message


def _verified_member(data: bytes) -> Any:
    member = decode_member(data)
    verify_member(member)
    return member


def _of_utf8(parse: Callable[[str], Any]) -> Callable[[bytes], Any]:
    """As the listener does it: what is not UTF-8 never gets to the parser."""

    def decode(data: bytes) -> Any:
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise DecodeError("not UTF-8") from error
        return parse(text)

    return decode


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="chainnode-fuzz-")


def _of_file(name: str, read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    def decode(data: bytes) -> Any:
        path = Path(_folder().name) / name
        path.write_bytes(data)
        return read(path)

    return decode


def _uncommented(config: str) -> bytes:
    """Return settings with every default written out, so that there is something to change."""
    assert len(config) < MAX_CONFIG_BYTES
    lines = (
        line.removeprefix("# ") if " = " in line and line.count(" ") < 5 else line
        for line in config.splitlines()
    )
    return "\n".join(lines).encode() + b"\n"


def _with_checksum(data: bytes) -> bytes:
    """Give a key file the checksum of its fields, so that changes of them get past it."""
    try:
        fields = json.loads(data)
        fields.pop("checksum", None)
        compact = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError, AttributeError, TypeError):
        return data
    fields["checksum"] = hashlib.sha256(compact).hexdigest()
    return json.dumps(fields).encode()


def _p256_certificate() -> bytes:
    """Return a certificate of a key on P-256, the same each time: it is signed by an Ed25519 key."""
    holder = ec.derive_private_key(7, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ash")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(holder.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2046, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("ash")]), critical=False)
        .sign(Ed25519PrivateKey.from_private_bytes(bytes(32)), None)
    )
    return certificate.public_bytes(Encoding.DER)


def _vote_log(binding: bytes) -> bytes:
    file = MemoryFile()
    log, _ = VoteLog.open(file, binding)
    for height, payload in ((1, b"a"), (1, bytes(40)), (2, b"\x93\x01\x02\x03")):
        log.append([VoteRecord(kind=1, height=height, payload=payload)])
    return file.read_all(_MAX_BYTES)


def _open_vote_log(data: bytes) -> Any:
    file = MemoryFile()
    file.append(data)
    binding = samples(SUITES[0]).chain.genesis.domain.genesis_hash
    return VoteLog.open(file, binding)[1]


def _vote_records() -> tuple[bytes, ...]:
    """Records of every kind, each as [kind, height, payload]."""
    chain = samples(SUITES[0]).chain
    book = book_of(chain, 1)
    changes = (view_change(0), view_change(2, prepared=0), view_change(3))
    know_all(chain, book, *changes, *certificate().claims(LEADERS))
    claim = vote(Propose, 1, view=1)
    proposal = Proposal(
        height=claim.height,
        view=claim.view,
        digest=claim.digest,
        sender=claim.sender,
        first_view=View(0),
        proposer=ValidatorIndex(0),
        justification=Justification(view_changes=changes, prepared=certificate()),
    )
    records = encode_records(
        (
            ViewEntered(height=HEIGHT, view=View(3)),
            Proposed(proposal=proposal),
            Voted(vote=vote(Prepare, 1)),
            Voted(vote=view_change(1, prepared=0)),
            Locked(certificate=certificate()),
        ),
        book,
        LEADERS,
    )
    return tuple(codec.encode((r.kind, r.height, r.payload)) for r in records)


def _read_vote_records(data: bytes) -> Any:
    try:
        kind, height, payload = codec.decode_array(
            data, max_bytes=_MAX_BYTES, arity=3, what="record"
        )
        record = VoteRecord(
            kind=codec.integer(kind, "kind", most=255),
            height=codec.integer(height, "height", most=2**64 - 1),
            payload=codec.binary(payload, "payload"),
        )
    except DecodeError as error:
        raise StorageFault("the log's own framing is fuzzed by itself") from error
    chain = samples(SUITES[0]).chain
    return decode_records((record,), book_of(chain, 1), chain.genesis.validator_set, LEADERS, 1)
