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

from chainnode.client.list_store import decode_news
from chainnode.client.lists import decode_list, make_list
from chainnode.client.sender import Sender
from chainnode.config import FILE_NAME, MAX_CONFIG_BYTES, load_config, parse_settings, render
from chainnode.engine.message_codec import decode_message, encode_message
from chainnode.engine.messages import UnknownMessage
from chainnode.engine.vote_records import decode_records, encode_records
from chainnode.ers.record import decode_evidence_record
from chainnode.keystore.gateway_tokens import Token, decode_tokens, encode_tokens
from chainnode.keystore.key_file import decode_key_file, encode_key_file
from chainnode.keystore.signer import local_signer
from chainnode.keystore.tls import public_key_of_certificate
from chainnode.keystore.webhook_targets import decode_targets
from chainnode.ledger.leader_history import decode_failed_turns
from chainnode.ledger.tip import decode_tip_record
from chainnode.model import codec
from chainnode.model.algorithms import decode_registry
from chainnode.model.calls import Document, parse_document, parse_key_offer
from chainnode.model.canonical_json import canonical_json
from chainnode.model.capture import parse_capture
from chainnode.model.checkpoint import parse_checkpoint
from chainnode.model.commitment import Digest, digests_value, parse_digests
from chainnode.model.errors import (
    ChainError,
    DecodeError,
    InvariantViolation,
    ProofInvalid,
    Refused,
    StorageFault,
    Unavailable,
)
from chainnode.model.evidence import decode_evidence
from chainnode.model.forensics import decode_testimony, encode_testimony
from chainnode.model.ids import TransactionId
from chainnode.model.keys import KeyPurpose
from chainnode.model.mark_calls import parse_mark_call
from chainnode.model.marks import decode_summary, parse_mark
from chainnode.model.member import decode_member, verify_member
from chainnode.model.merkle import Frontier
from chainnode.model.notarization import parse_notarization
from chainnode.model.note import (
    decode_base64,
    encode_base64,
    parse_decimal,
    parse_note,
    parse_signature_lines,
    parse_verifier_key,
    signature_lines,
)
from chainnode.model.ots import MAGIC as OTS_MAGIC
from chainnode.model.ots import (
    append_and_hash,
    decode_pending,
    decode_timestamp_file,
    on_chain,
    pending,
    prepend_and_hash,
)
from chainnode.model.proven_state import parse_proven_state
from chainnode.model.second_key import decode_second_key
from chainnode.model.sntp import decode_answer
from chainnode.model.state_tree import decode_state_proof
from chainnode.model.timestamp import parse_serial
from chainnode.model.tlog_policy import parse_policy
from chainnode.model.tlog_proof import parse_proof
from chainnode.model.tlog_tiles import decode_entries, encode_entries, parse_tile_path
from chainnode.model.tlog_witness import Submission, encode_size, parse_size, parse_submission
from chainnode.model.tls_certificate import read_tls_certificate
from chainnode.p2p.frame import join_frame, split_frame
from chainnode.p2p.hello import Hello, decode_hello
from chainnode.pki.certificate import decode_x509_certificate
from chainnode.pki.names import parse_name
from chainnode.pki.pem import parse_bundle, parse_pem, write_bundle
from chainnode.pki.request import decode_request
from chainnode.pki.revocation import decode_crl
from chainnode.rpc.base64_text import from_base64
from chainnode.rpc.client import parse_json
from chainnode.rpc.gateway_request import parse_record_request
from chainnode.rpc.json_text import encode_json, parse_request
from chainnode.rpc.shapes import Base64
from chainnode.services.gateway_journal import decode_line as decode_gateway_line
from chainnode.services.gateway_journal import encode_line as encode_gateway_line
from chainnode.storage.append_file import MemoryFile
from chainnode.storage.journal import Journal
from chainnode.storage.vote_log import VoteLog, VoteRecord
from chainnode.tsp.reading import decode_response, decode_token
from chainnode.tsp.recorded import decode_leaf, record_extra
from chainnode.tsp.request import decode_request as decode_timestamp_request
from chainnode.tsp.request import make_request as make_timestamp_request
from chainnode.tsp.response import granted
from chainnode.tsp.token import TokenFacts, TokenTemplate
from cli.archive.bag import encode_manifest, parse_manifest
from cli.command import parse_account
from cli.folder.journal import MAGIC, decode_line, encode_line
from cli.folder.manifest import Manifest, decode_manifest
from cli.genesis import parse_parameter
from cli.init import parse_account_roles
from cli.log_memory import Memory, decode_memory, encode_memory
from cli.log_source import Seen
from cli.lookup import parse_what
from cli.offers import read_offer
from cli.show import parse_tx_id
from cli.times import parse_time
from consensus.effects import Locked, Proposed, ViewEntered, Voted
from consensus.messages import Justification, Prepare, Proposal, Propose, ValidatorIndex, View
from contracts.authorities.records import (
    decode_authority,
    decode_chain,
    decode_names,
    encode_chain,
    encode_names,
)
from contracts.authorities.records import decode_certificate as decode_certificate_record
from contracts.authorities.records import decode_list as decode_published_list
from contracts.clocks import decode_declaration
from contracts.identity.records import (
    decode_account,
    decode_admins,
    decode_key,
    decode_organisation,
    encode_admins,
)
from contracts.notary import parse_arguments
from tests.support.alliance import Alliance
from tests.support.certificates import KEY_SUITES, NOW_MS, authority
from tests.support.chain import CLERK, make_chain
from tests.support.claims import HEIGHT, LEADERS, book_of, certificate, know_all, view_change, vote
from tests.support.contracts import Chain as ContractChain
from tests.support.evidence_records import evidence_records
from tests.support.folders import entries, lines, manifest
from tests.support.formats import SUITES, samples
from tests.support.golden import load_golden

if TYPE_CHECKING:
    from collections.abc import Callable

_TESTS = Path(__file__).parents[1]
_MAX_BYTES = 64 * 1024
_CAPTURE = json.dumps(
    {
        "format": "chainnode-capture/1",
        "nonce": "ab" * 32,
        "captured_ms": 1_795_363_200_000,
        "operator": {"account": "court/clerk", "name": "张三"},
        "device": {"name": "desk-7", "system": "Linux"},
        "source": {"url": "https://gov.example/notice", "size_bytes": 7},
        "time": {"source": "ntp", "is_synchronised": True, "max_error_ms": 12},
        "network": {"addresses": ["192.0.2.7"]},
        "cleanliness": {"result": "clean", "method": "scan", "log_hash": "cd" * 32},
        "extra": {"case": "(2026) 1"},
    }
)


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
        | _mark_formats() | _rpc_formats() | _words() | _certificate_formats() | _timestamp_formats()
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
        "proven state": Decoder(
            function="chainnode.model.proven_state.parse_proven_state",
            decode=parse_proven_state,
            encode=lambda s: s.extra(),
            seeds=(
                codec.encode(
                    (
                        found["parent_record"].seeds[0],
                        (
                            bytes(32),
                            found["header"].seeds[0],
                            ((b"history/x", None, longest[0]), (b"y", b"z", longest[-1])),
                        ),
                    )
                ),
            ),
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
            f"signature lines{of}": Decoder(
                function="chainnode.model.note.parse_signature_lines",
                decode=_of_text(parse_signature_lines),
                encode=lambda s: signature_lines(s).encode("utf-8", "surrogateescape"),
                seeds=(signature_lines(parsed.note.signatures).encode(),),
                shape="lines",
            ),
            f"submission to a witness{of}": Decoder(
                function="chainnode.model.tlog_witness.parse_submission",
                decode=parse_submission,
                encode=lambda s: s.encode(),
                seeds=(
                    Submission(
                        old_size=7,
                        proof=(bytes(32), bytes(range(32))),
                        note=parsed.note,
                        checkpoint=parsed.checkpoint,
                    ).encode(),
                ),
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
        "size that a witness answers": Decoder(
            function="chainnode.model.tlog_witness.parse_size",
            decode=parse_size,
            encode=encode_size,
            seeds=(encode_size(0), encode_size(2**63 - 1)),
            shape="lines",
        ),
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
        "manifest": Decoder(
            function="cli.folder.manifest.decode_manifest",
            decode=decode_manifest,
            encode=Manifest.encode,
            seeds=(manifest(()).encode(), manifest(entries()).encode()),
            shape="json",
        ),
        "line of a folder's journal": Decoder(
            function="cli.folder.journal.decode_line",
            decode=decode_line,
            encode=encode_line,
            seeds=tuple(map(encode_line, lines(_list_envelope()))),
        ),
        "record of a client's store": Decoder(
            function="chainnode.client.list_store.decode_news",
            decode=decode_news,
            seeds=(
                codec.encode((0, "key", b"envelope")),
                codec.encode((1, "key", "committed", 7, 100, "", "")),
                codec.encode((1, "钥匙", "failed", 7, 0, "missing_role", "no")),
                codec.encode((2, "key", "committed", 7, 100, "", "")),
            ),
        ),
        "list": Decoder(
            function="chainnode.client.lists.decode_list",
            decode=lambda data: decode_list(samples(SUITES[0]).chain.genesis.domain, data),
            encode=lambda made: made.transaction.envelope,
            seeds=(_list_envelope(),),
        ),
        "OpenTimestamps file": Decoder(
            function="chainnode.model.ots.decode_timestamp_file",
            decode=decode_timestamp_file,
            seeds=(
                OTS_MAGIC
                + b"\x01\x08"
                + bytes(32)
                + append_and_hash(b"nonce")
                + prepend_and_hash(bytes(32))
                + pending("https://a.example/ots/"),
                OTS_MAGIC
                + b"\x01\x08"
                + bytes(32)
                + b"\xf2\xf3\xff"
                + on_chain(b"proof")
                + on_chain(b""),
            ),
        ),
        "pending attestation": Decoder(
            function="chainnode.model.ots.decode_pending",
            decode=decode_pending,
            seeds=(b"\x16https://a.example/ots/",),
        ),
        "line of the gateway's journal": Decoder(
            function="chainnode.services.gateway_journal.decode_line",
            decode=decode_gateway_line,
            encode=encode_gateway_line,
            seeds=(
                codec.encode((0, 3, b"envelope", ((bytes(16), "a", None, bytes(32), None),))),
                codec.encode((0, 4, b"", ((bytes(16), "a", "key", bytes(32), "hook"),) * 2)),
                codec.encode((1, 3, "committed", 7, 100, "", "")),
                codec.encode((3, bytes(16))),
                codec.encode((3, bytes(16), bytes(16))),
                codec.encode(
                    (
                        2,
                        3,
                        bytes(32),
                        ("failed", 7, 0, "c", "m"),
                        ((bytes(16), "a", "k", bytes(32), None),),
                    )
                ),
            ),
        ),
        "tokens": Decoder(
            function="chainnode.keystore.gateway_tokens.decode_tokens",
            decode=decode_tokens,
            encode=encode_tokens,
            seeds=(
                encode_tokens(()),
                encode_tokens((Token(name="a", sha256=bytes(32), per_minute=9, created_ms=1),)),
            ),
            shape="json",
            has_one_form=False,
        ),
        "webhook targets": Decoder(
            function="chainnode.keystore.webhook_targets.decode_targets",
            decode=decode_targets,
            seeds=(
                json.dumps(
                    {
                        "version": 1,
                        "targets": [
                            {"name": "a", "url": "https://a.example/x", "secret": "s" * 32}
                        ],
                    }
                ).encode(),
            ),
            shape="json",
        ),
        "request for a record": Decoder(
            function="chainnode.rpc.gateway_request.parse_record_request",
            decode=parse_record_request,
            seeds=(
                json.dumps({"digests": {"sha256": "ab" * 32, "sm3": "cd" * 32}}).encode(),
                json.dumps(
                    {
                        "digests": {"sha512": "ab" * 64},
                        "title": "通知",
                        "metadata_hash": "ab" * 32,
                        "public": True,
                        "wait": "proof",
                    }
                ).encode(),
            ),
            shape="json",
        ),
        "journal": Decoder(
            function="chainnode.storage.journal.Journal.open",
            decode=_open_journal,
            seeds=(_journal(),),
            shape="bytes",
            errors=(StorageFault,),
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
        "monitor's state": Decoder(
            function="cli.log_memory.decode_memory",
            decode=decode_memory,
            encode=encode_memory,
            seeds=(encode_memory(Memory()), encode_memory(_monitor_memory())),
            shape="json",
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


def _of_number(parse: Callable[[int], Any]) -> Callable[[bytes], Any]:
    return lambda data: parse(int.from_bytes(data, "big"))


def _certificate_formats() -> dict[str, Decoder]:
    golden = {
        name: bytes.fromhex(vector["encoded"])
        for name, vector in load_golden("certificates").items()
    }
    found: dict[str, Decoder] = {}
    for suite in KEY_SUITES:
        of = "" if suite == KEY_SUITES[0] else f" of {suite}"
        profiles = ("root", "issuing", "timestamp", "seal")
        found |= {
            f"X.509 certificate{of}": Decoder(
                function="chainnode.pki.certificate.decode_x509_certificate",
                decode=decode_x509_certificate,
                encode=lambda c: c.encoded,
                seeds=tuple(golden[f"{profile} of {suite}"] for profile in profiles),
                shape="der",
            ),
            f"certificate request{of}": Decoder(
                function="chainnode.pki.request.decode_request",
                decode=decode_request,
                encode=lambda r: r.encoded,
                seeds=(golden[f"request of {suite}"],),
                shape="der",
                errors=(DecodeError, Refused, ProofInvalid),
            ),
            f"revocation list{of}": Decoder(
                function="chainnode.pki.revocation.decode_crl",
                decode=decode_crl,
                encode=lambda c: c.encoded,
                seeds=(golden[f"list of {suite}"],),
                shape="der",
            ),
        }
    leaf = decode_x509_certificate(golden[f"timestamp of {KEY_SUITES[0]}"])
    bundle = write_bundle((leaf, leaf))
    return found | {
        "distinguished name": Decoder(
            function="chainnode.pki.names.parse_name",
            decode=_of_text(parse_name),
            encode=lambda n: n.text().encode("utf-8", "surrogateescape"),
            seeds=(leaf.subject.text().encode(), rb"O=a\, b\+c"),
            shape="lines",
            has_one_form=False,
            errors=(Refused,),
        ),
        "PEM": Decoder(
            function="chainnode.pki.pem.parse_pem",
            decode=lambda data: parse_pem(data, "CERTIFICATE", most=4),
            seeds=(bundle, leaf.encoded),
            shape="lines",
        ),
        "certificate bundle": Decoder(
            function="chainnode.pki.pem.parse_bundle",
            decode=parse_bundle,
            encode=write_bundle,
            seeds=(bundle, leaf.encoded),
            shape="lines",
            has_one_form=False,
        ),
    }


def _timestamp_formats() -> dict[str, Decoder]:
    made = authority()
    asked = make_timestamp_request(
        Digest(algorithm="sha256", value=bytes(32)), nonce=2**63, policy="2.999.3161.1"
    )
    token = TokenTemplate(
        signer=made.leaf_signer,
        certificate=made.leaf,
        chain=(made.issuing,),
        policy="2.999.3161.1",
    ).token(
        decode_timestamp_request(asked),
        TokenFacts(serial_number=1 << 152, time_ms=NOW_MS + 120, accuracy_ms=2_500),
    )
    return {
        "timestamp request": Decoder(
            function="chainnode.tsp.request.decode_request",
            decode=decode_timestamp_request,
            seeds=(asked,),
            shape="der",
        ),
        "bag's manifest": Decoder(
            function="cli.archive.bag.parse_manifest",
            decode=lambda data: parse_manifest(data, "sha256"),
            encode=encode_manifest,
            # Order, spaces and case of hex are free.
            has_one_form=False,
            seeds=(encode_manifest({"data/a": bytes(32), "data/b/合同.pdf": bytes(range(32))}),),
            shape="lines",
        ),
        "evidence record": Decoder(
            function="chainnode.ers.record.decode_evidence_record",
            decode=decode_evidence_record,
            encode=lambda r: r.encode(),
            # Which algorithms it names up front, and whether with parameters, is nothing that counts.
            has_one_form=False,
            seeds=tuple(record.encode() for record in evidence_records()),
            shape="der",
        ),
        "timestamp token": Decoder(
            function="chainnode.tsp.reading.decode_token",
            decode=decode_token,
            encode=lambda t: t.encoded,
            seeds=(token,),
            shape="der",
        ),
        "timestamp record": Decoder(
            function="chainnode.tsp.recorded.decode_leaf",
            decode=decode_leaf,
            seeds=(record_extra(b"leaf", decode_token(token)),),
        ),
        "timestamp response": Decoder(
            function="chainnode.tsp.reading.decode_response",
            decode=decode_response,
            seeds=(granted(token),),
            shape="der",
        ),
    }


def _state_formats() -> dict[str, Decoder]:
    ours = (InvariantViolation,)
    key = codec.encode((1, "archive/new", "account", 0, 2**63 - 1, 0))
    return {
        "algorithm registry": Decoder(
            function="chainnode.model.algorithms.decode_registry",
            decode=decode_registry,
            encode=lambda r: r.encode(),
            seeds=(codec.encode((1, (("sha256", True, 0), ("sm3", True, 2**40)))),),
        ),
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
        "authority": Decoder(
            function="contracts.authorities.records.decode_authority",
            decode=decode_authority,
            encode=lambda r: r.encode(),
            seeds=(codec.encode((1, "电子认证", "internal", "justice/ca", 0)),),
            errors=ours,
        ),
        "clock declaration": Decoder(
            function="contracts.clocks.decode_declaration",
            decode=decode_declaration,
            encode=lambda d: d.encode(),
            seeds=(codec.encode((1, "v1", ("北斗", "ntp.example"), "ntp.example:123")),),
            errors=ours,
        ),
        "second cosigner key": Decoder(
            function="chainnode.model.second_key.decode_second_key",
            decode=decode_second_key,
            encode=lambda k: k.encode(),
            seeds=(
                codec.encode((1, bytes(32), 1, (bytes(1_312), bytes(2_420)))),
                codec.encode((1, bytes(65), 7, None)),
            ),
        ),
        "certificate record": Decoder(
            function="contracts.authorities.records.decode_certificate",
            decode=decode_certificate_record,
            encode=lambda r: r.encode(),
            seeds=(codec.encode((1, "city", "timestamp", "justice/node", 0, 2**42, 9, "ceased")),),
            errors=ours,
        ),
        "certificate chain": Decoder(
            function="contracts.authorities.records.decode_chain",
            decode=decode_chain,
            encode=encode_chain,
            seeds=(codec.encode((b"issuing", b"root")),),
            errors=ours,
        ),
        "published revocation list": Decoder(
            function="contracts.authorities.records.decode_list",
            decode=decode_published_list,
            encode=lambda r: r.encode(),
            seeds=(codec.encode((1, 2**63 - 1, b"list")),),
            errors=ours,
        ),
        "names of authorities": Decoder(
            function="contracts.authorities.records.decode_names",
            decode=decode_names,
            encode=encode_names,
            seeds=(codec.encode(("alliance", "city")),),
            errors=ours,
        ),
    }


def _mark_formats() -> dict[str, Decoder]:
    tx_id, salt = TransactionId(bytes(range(32))), bytes(range(32, 64))
    reference = ("justice/clerk", tx_id, 0, 3)
    facts = (reference, "archive/reader", bytes(32), "书", "No. 1")
    leaf = (1, "mark", 9, 2**40, 2**40 - 9, 2**40, tx_id, 0, 0, "history", "justice/clerk")
    mark = codec.encode((*leaf, (bytes(32), "annotated", "typo")))
    record = (salt, "justice/clerk", None, 0, 0)
    calls = {
        "supersede": (record, (salt, *reference)),
        "withdraw": (record, "erroneous"),
        "annotate": (record, "typo", bytes(32), "书"),
        "annotate_by_order": (record, "No. 1", None, None, None),
        "offer": (record, "archive/reader"),
        "accept": (record,),
    }
    by_method = {
        f"arguments of {method}": Decoder(
            function="chainnode.model.mark_calls.parse_mark_call",
            decode=_of_value(
                lambda args, m=method: parse_mark_call(m, codec.array(args, "args"), tx_id)
            ),
            seeds=(codec.encode(args),),
        )
        for method, args in calls.items()
    }
    return by_method | {
        "mark": Decoder(
            function="chainnode.model.marks.parse_mark",
            decode=parse_mark,
            encode=lambda m: m.extra(),
            seeds=(
                codec.encode((mark, (salt, reference, facts))),
                codec.encode((mark, (salt, reference, (None,) * 5))),
            ),
        ),
        "summary of marks": Decoder(
            function="chainnode.model.marks.decode_summary",
            decode=decode_summary,
            encode=lambda s: s.encode(),
            seeds=(
                codec.encode((1, ("a/b", "c/d"), (), None, reference, None, 0, 0)),
                codec.encode((1, ("a/b",), ("c/d",), reference, None, ("other", 3, "a/b"), 2, 1)),
            ),
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
        "serial number": Decoder(
            function="chainnode.model.timestamp.parse_serial",
            decode=_of_number(parse_serial),
            encode=lambda s: s.as_integer().to_bytes(20, "big"),
            has_one_form=False,
            seeds=(bytes([1]) + bytes(19),),
            errors=(ProofInvalid,),
        ),
        "request": Decoder(
            function="chainnode.rpc.json_text.parse_request",
            decode=_of_utf8(parse_request),
            encode=lambda value: encode_json(value).encode(),
            has_one_form=False,
            seeds=(request,),
            shape="json",
        ),
        "capture record": Decoder(
            function="chainnode.model.capture.parse_capture",
            decode=parse_capture,
            encode=lambda c: c.canonical,
            has_one_form=False,
            seeds=(_CAPTURE.encode(),),
            shape="json",
        ),
        "signed parameters": Decoder(
            function="chainnode.model.canonical_json.canonical_json",
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
            (parse_time, (b"2026-11-22", b"2026-11-22T16:00:00.123+08:00", b"1795363200000")),
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


def _monitor_memory() -> Memory:
    proof = Alliance(SUITES[0]).notarization()
    seen = Seen(url="https://log.example", note=proof.note, checkpoint=proof.checkpoint)
    return Memory(seen=(seen,), entries=Frontier(size=3, hashes=(bytes(32), bytes(32))))


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


def _journal() -> bytes:
    file = MemoryFile()
    journal, _ = Journal.open(file, MAGIC)
    for payload in (b"a", bytes(40), b"\x93\x01\x02\x03"):
        journal.append(payload)
    return file.read_all(_MAX_BYTES)


def _open_journal(data: bytes) -> Any:
    file = MemoryFile()
    file.append(data)
    return Journal.open(file, MAGIC)[1]


def _list_envelope() -> bytes:
    chain = make_chain()
    keys = chain.accounts[CLERK]
    signer = local_signer(
        name="clerk", suite=keys.suite, purpose=KeyPurpose.ACCOUNT, private_key=keys.private
    )
    sender = Sender(
        account=CLERK,
        signer=signer,
        chain_id=chain.genesis.chain_id,
        domain=chain.genesis.domain,
    )
    documents = [Document(digests=entry.digests, title="t") for entry in entries()]
    return make_list(sender, documents, is_public=True, tip_height=7).transaction.envelope


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
