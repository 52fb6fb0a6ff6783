"""What a real validator refuses of what it is asked: with a stable code, words that help, and no trace of it."""

import base64
import json
import secrets
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from chainnode.keystore.keystore import KeyStore
from chainnode.keystore.signer import local_signer
from chainnode.model import calls, codec
from chainnode.model.commitment import Digest
from chainnode.model.domain import Domain
from chainnode.model.keys import KeyPurpose
from chainnode.model.limits import MAX_DOCUMENTS_PER_CALL, MAX_TRANSACTION_BYTES, MAX_VALID_HEIGHTS
from chainnode.model.member import decode_member
from chainnode.model.roles import Role
from chainnode.model.transaction import Body, Call, encode_envelope, sign_transaction
from chainnode.rpc.limits import MAX_BATCH, MAX_BODY_BYTES
from devnet import homes
from devnet.ports import LOOPBACK, free_ports
from tests.support.alliance import Alliance
from tests.support.network import LEVEL_MS, PATIENCE_S, Notary, chainnode, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("network")]

PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602
REFUSED = -32000
QUORUM = 3
GUEST, LEAVER, IDLER = "agency-1/guest", "agency-1/leaver", "agency-1/idler"
DOCUMENT = calls.Document(digests=(Digest(algorithm="sha256", value=bytes(32)),))


@dataclass(frozen=True)
class Chain:
    """A running chain as its clients see it, with the keys of many."""

    network: object
    genesis: object
    notary: object
    admin: object
    guest: object
    leaver: object
    idler: object
    validator: object
    replayed: bytes

    @property
    def height(self):
        return self.network.status("v1")["tip_height"]

    def body(self, **changes):
        return replace(
            Body(
                chain_id=self.genesis.chain_id,
                sender=homes.NOTARY_ACCOUNT,
                nonce=secrets.token_bytes(16),
                last_valid_height=self.height + 100,
                calls=(calls.register_documents([DOCUMENT], seed=None),),
            ),
            **changes,
        )

    def signed(self, signer=None, *, domain=None, **changes):
        """Return an envelope; what is not named is as it should be."""
        signer = self.notary if signer is None else signer
        domain = self.genesis.domain if domain is None else domain
        body = self.body(**changes)
        return sign_transaction(
            domain, body, public_key=signer.public_key, sign=signer.sign
        ).envelope


def fresh_signer(suite):
    return local_signer(
        name="fresh",
        suite=suite,
        purpose=KeyPurpose.ACCOUNT,
        private_key=secrets.token_bytes(32),
    )


def offer(domain, account, signer):
    return calls.offer_key(
        domain,
        account=account,
        purpose=KeyPurpose.ACCOUNT,
        public_key=signer.public_key,
        sign=signer.sign,
    )


@pytest.fixture(scope="module")
def chain(module_network):
    network = module_network
    passphrase = (network.directory / homes.PASSPHRASE).read_bytes()

    def opened(home, name):
        return KeyStore(home / homes.KEYS).open(name, passphrase)

    genesis = Notary(network).genesis
    guest, leaver, idler = (fresh_signer(genesis.suite) for _ in range(3))
    chain = Chain(
        network=network,
        genesis=genesis,
        notary=opened(network.client_home, "agency-1.notary"),
        admin=opened(network.admin_home, "agency-1.admin"),
        guest=guest,
        leaver=leaver,
        idler=idler,
        validator=opened(network.node("v2").home, KeyPurpose.CONSENSUS.value),
        replayed=b"",
    )
    chain = replace(chain, replayed=chain.signed())
    domain = genesis.domain
    prepared = chain.signed(
        chain.admin,
        sender=homes.ADMIN_ACCOUNT,
        calls=(
            calls.register_account(GUEST, roles=(), keys=[offer(domain, GUEST, guest)]),
            calls.register_account(
                LEAVER, roles=[Role.NOTARY], keys=[offer(domain, LEAVER, leaver)]
            ),
            calls.revoke_key(leaver.public_key, reason="lost"),
            calls.register_account(IDLER, roles=[Role.NOTARY], keys=[offer(domain, IDLER, idler)]),
            calls.suspend_account(IDLER),
        ),
    )
    for envelope in (prepared, chain.replayed):
        assert submitted(network, envelope)["status"] == "committed"
    network.wait_level(timeout_ms=LEVEL_MS)
    return chain


def submitted(network, envelope):
    """Hand in a transaction; return what became of it."""

    async def ask(node):
        return await node.tx_submit_and_wait(envelope, timeout_ms=PATIENCE_S * 1000)

    return network.ask("v1", ask)


def post(network, body):
    """Send any bytes as a request; return HTTP status and answer."""
    request = urllib.request.Request(f"{network.node('v1').rpc}/rpc", data=body)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def call(network, method, **params):
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return post(network, json.dumps(request).encode())


@contextmanager
def nothing_changes(network, *, failed=0):
    """Check that within, the chain grew by nothing but heartbeats, which bring one record each, and failures."""
    wait_until(lambda: network.status("v1")["pool_count"] == 0, "the pool is empty")
    before = network.status("v1")
    yield
    after = network.status("v1")
    heights = range(before["tip_height"] + 1, after["tip_height"] + 1)

    async def count(node):
        return sum([(await node.chain_header(height))["tx_count"] for height in heights])

    assert network.ask("v1", count) == failed
    assert after["log_size"] == before["log_size"] + len(heights)
    assert after["state_root"] == before["state_root"]
    assert (after["pool_count"], after["pool_bytes"], after["unverified"]) == (0, 0, 0)
    assert after["is_ready"], after["not_ready_reason"]


def check_error(answer, number, code, words):
    error = answer["error"]
    assert (error["code"], error["data"]["code"]) == (number, code), error
    for word in words:
        assert word in error["message"], error


# -- transactions that are not accepted ----------------------------------------------------------------------


def other_bytes(envelope, n):
    changed = bytearray(envelope)
    changed[n] ^= 1
    return bytes(changed)


def with_suite(chain, suite):
    body = chain.body().encode()
    return encode_envelope(
        body=body, suite=suite, public_key=chain.notary.public_key, signature=bytes(64)
    )


def of_another_genesis(chain):
    return chain.signed(domain=Domain(chain.genesis.suite, bytes(32)))


NOT_ACCEPTED = {
    "wrong-chain-id": (
        lambda c: c.signed(chain_id="other.example/x"),
        (REFUSED, "wrong_chain", ("other.example/x", homes.CHAIN_ID)),
    ),
    "chain-of-the-same-name": (
        of_another_genesis,
        (REFUSED, "bad_signature", ()),
    ),
    "expired": (
        lambda c: c.signed(last_valid_height=1),
        (REFUSED, "expired", ("found 1", "next block is", "sign it again")),
    ),
    "too-far-ahead": (
        lambda c: c.signed(last_valid_height=c.height + 2 * MAX_VALID_HEIGHTS),
        (REFUSED, "too_far_ahead", ("found", "expected at most", "sign it again")),
    ),
    "bad-signature": (
        lambda c: other_bytes(c.signed(), -1),
        (REFUSED, "bad_signature", ()),
    ),
    "signed-by-another": (
        lambda c: c.signed(c.guest),
        (REFUSED, "unknown_key", (homes.NOTARY_ACCOUNT, "sign with one that is")),
    ),
    "signed-by-a-validators-key": (
        lambda c: c.signed(c.validator),
        (REFUSED, "unknown_key", (homes.NOTARY_ACCOUNT, "sign with one that is")),
    ),
    "unknown-account": (
        lambda c: c.signed(sender="agency-1/nobody"),
        (REFUSED, "unknown_account", ("agency-1/nobody", "correct the name")),
    ),
    "revoked-key": (
        lambda c: c.signed(c.leaver, sender=LEAVER),
        (REFUSED, "key_revoked", (LEAVER, "was revoked at", "another of its keys")),
    ),
    "suspended-account": (
        lambda c: c.signed(c.idler, sender=IDLER),
        (REFUSED, "account_suspended", (IDLER, "can resume it")),
    ),
    "oversized": (
        lambda c: bytes(MAX_TRANSACTION_BYTES + 3),
        (INVALID_PARAMS, "too_large", ("transaction", str(MAX_TRANSACTION_BYTES))),
    ),
    "oversized-within": (
        lambda c: codec.encode((bytes(MAX_TRANSACTION_BYTES - 3), "", b"", b"")),
        (INVALID_PARAMS, "too_large", (str(MAX_TRANSACTION_BYTES),)),
    ),
    "suite-of-another-chain": (
        lambda c: with_suite(c, "sm2-sm3"),
        (INVALID_PARAMS, "wrong_suite", ("sm2-sm3", "this chain uses 'ed25519-sha256'")),
    ),
    "unknown-suite": (
        lambda c: with_suite(c, "rot13"),
        (INVALID_PARAMS, "wrong_suite", ("rot13", "this chain uses 'ed25519-sha256'")),
    ),
    "nothing": (lambda _: b"", (INVALID_PARAMS, "malformed", ())),
    "text": (lambda _: b"transaction", (INVALID_PARAMS, "malformed", ())),
    "cut": (lambda c: c.signed()[:-1], (INVALID_PARAMS, "malformed", ())),
    "longer": (lambda c: c.signed() + b"\0", (INVALID_PARAMS, "malformed", ())),
    # An array of four whose length takes two bytes instead of none.
    "not-canonical": (
        lambda c: b"\xdc\x00\x04" + c.signed()[1:],
        (INVALID_PARAMS, "malformed", ("not canonical", "shortest form")),
    ),
    "field-missing": (
        lambda c: codec.encode(codec.decode(c.signed(), max_bytes=10_000)[:3]),
        (INVALID_PARAMS, "malformed", ("found 3 elements, expected 4",)),
    ),
    "no-calls": (
        lambda c: c.signed(calls=()),
        (INVALID_PARAMS, "malformed", ("calls", "expected 1 to")),
    ),
}


@pytest.mark.parametrize("case", NOT_ACCEPTED)
def test_transaction_is_not_accepted(chain, case):
    make, expected = NOT_ACCEPTED[case]
    envelope = base64.b64encode(make(chain)).decode()
    with nothing_changes(chain.network):
        for method in ("tx_submit", "tx_submit_and_wait"):
            status, answer = call(chain.network, method, transaction=envelope)
            assert status == 200
            check_error(answer, *expected)


def test_replayed_transaction_is_not_accepted_and_its_sender_may_hear_again_what_became_of_it(
    chain,
):
    with nothing_changes(chain.network):
        envelope = base64.b64encode(chain.replayed).decode()
        _, answer = call(chain.network, "tx_submit", transaction=envelope)
        again = submitted(chain.network, chain.replayed)
    check_error(answer, REFUSED, "replayed", ("was committed before", "another nonce"))
    assert again["status"] == "committed"


# -- transactions that fail in their block -------------------------------------------------------------------


def registering(algorithm, digest, count=1):
    document = (((algorithm, digest),), None, None)
    return Call(contract="notary", method="register", args=(None, (document,) * count))


def offering_validators_key(chain):
    """A validator offers its consensus key for an account, with all the proof that there can be."""
    return calls.add_key(GUEST, offer(chain.genesis.domain, GUEST, chain.validator))


def offering_anothers_key(chain):
    return calls.add_key(GUEST, offer(chain.genesis.domain, GUEST, chain.notary))


FAILING = {
    "without-the-role": (
        lambda c: c.signed(c.guest, sender=GUEST),
        ("missing_role", (GUEST, "notary")),
    ),
    "digest-too-short": (
        lambda c: c.signed(calls=(registering("sha256", bytes(31)),)),
        ("bad_digest", ("found 31 bytes", "a sha256 digest has 32")),
    ),
    "digest-too-long": (
        lambda c: c.signed(calls=(registering("sm3", bytes(64)),)),
        ("bad_digest", ("found 64 bytes", "a sm3 digest has 32")),
    ),
    "unknown-algorithm": (
        lambda c: c.signed(calls=(registering("md5", bytes(16)),)),
        ("unknown_algorithm", ("found 'md5'", "known are sha256")),
    ),
    "too-many-documents": (
        lambda c: c.signed(calls=(registering("sha256", bytes(32), MAX_DOCUMENTS_PER_CALL + 1),)),
        ("malformed", ("found 1001 elements", "expected 1 to 1000")),
    ),
    "one-call-of-two": (
        lambda c: c.signed(
            calls=(registering("sha256", bytes(32)), registering("sha256", bytes(1)))
        ),
        ("bad_digest", ("call 1 (notary.register)",)),
    ),
    "validators-key-for-an-account": (
        lambda c: c.signed(
            c.admin, sender=homes.ADMIN_ACCOUNT, calls=(offering_validators_key(c),)
        ),
        ("key_reused", ("consensus key", "one key has one purpose")),
    ),
    "one-key-for-two-accounts": (
        lambda c: c.signed(c.admin, sender=homes.ADMIN_ACCOUNT, calls=(offering_anothers_key(c),)),
        ("key_reused", (homes.NOTARY_ACCOUNT, "one owner")),
    ),
    "unknown-method": (
        lambda c: c.signed(calls=(Call(contract="notary", method="forget", args=()),)),
        ("unknown_method", ("it has register",)),
    ),
}


@pytest.mark.parametrize("case", FAILING)
def test_transaction_fails_in_its_block_and_leaves_a_receipt_only(chain, case):
    make, (code, words) = FAILING[case]
    with nothing_changes(chain.network, failed=1):
        result = submitted(chain.network, make(chain))
    assert result["status"] == "failed"
    receipt = result["receipt"]
    assert receipt["code"] == code, receipt
    for word in words:
        assert word in receipt["message"], receipt


# -- JSON-RPC ------------------------------------------------------------------------------------------------


def request(**changes):
    whole = {"jsonrpc": "2.0", "id": 1, "method": "chain_status", "params": {}} | changes
    return json.dumps({name: value for name, value in whole.items() if value != ...}).encode()


MALFORMED = {
    "nothing": (b"", PARSE_ERROR, "parse_error", ()),
    "cut": (request()[:-1], PARSE_ERROR, "parse_error", ()),
    "two": (request() + request(), PARSE_ERROR, "parse_error", ()),
    "not-utf8": (b'{"jsonrpc":"\xff"}', PARSE_ERROR, "parse_error", ("not UTF-8",)),
    "name-twice": (b'{"id":1,"id":2}', PARSE_ERROR, "parse_error", ("'id' is there twice",)),
    "not-a-number": (request(id=float("nan")), PARSE_ERROR, "parse_error", ("NaN is not JSON",)),
    "too-deep": (b"[" * 1000 + b"]" * 1000, PARSE_ERROR, "parse_error", ("nests",)),
    "number": (b"1", INVALID_REQUEST, "invalid_request", ("found int, expected an object",)),
    "no-version": (request(jsonrpc=...), INVALID_REQUEST, "invalid_request", ('expected "2.0"',)),
    "version-1": (request(jsonrpc="1.0"), INVALID_REQUEST, "invalid_request", ('expected "2.0"',)),
    "no-method": (request(method=...), INVALID_REQUEST, "invalid_request", ("method",)),
    "params-text": (request(params="x"), INVALID_REQUEST, "invalid_request", ("params",)),
    "id-object": (request(id={}), INVALID_REQUEST, "invalid_request", ("id: expected",)),
    "more-fields": (request(more=1), INVALID_REQUEST, "invalid_request", ("nothing but",)),
    "empty-batch": (b"[]", INVALID_REQUEST, "batch_size", ("batch of 0", "expected 1 to 100")),
    "large-batch": (
        b"[" + b",".join([request()] * (MAX_BATCH + 1)) + b"]",
        INVALID_REQUEST,
        "batch_size",
        ("batch of 101", "expected 1 to 100"),
    ),
    "unknown-method": (
        request(method="tx_undo"),
        UNKNOWN_METHOD,
        "unknown_method",
        ("'tx_undo'", "openrpc.json"),
    ),
    "unknown-parameter": (
        request(params={"verbose": True}),
        INVALID_PARAMS,
        "unknown_parameter",
        ("'verbose'", "known are"),
    ),
    "missing-parameter": (
        request(method="tx_submit"),
        INVALID_PARAMS,
        "missing_parameter",
        ("transaction",),
    ),
    "parameter-of-another-kind": (
        request(method="chain_header", params={"height": "1"}),
        INVALID_PARAMS,
        "bad_parameter",
        ("height: found str, expected an integer",),
    ),
    "not-base64": (
        request(method="tx_submit", params={"transaction": "?"}),
        INVALID_PARAMS,
        "bad_parameter",
        ("not base64",),
    ),
    "base64-in-two-ways": (
        request(method="tx_submit", params={"transaction": "AB=="}),
        INVALID_PARAMS,
        "bad_parameter",
        ("not canonical base64",),
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_request_is_refused(chain, case):
    body, number, code, words = MALFORMED[case]
    with nothing_changes(chain.network):
        status, answer = post(chain.network, body)
    assert status == 200
    check_error(answer, number, code, words)


def test_body_that_is_too_large_is_refused_unread(chain):
    with nothing_changes(chain.network):
        status, answer = post(chain.network, b" " * (MAX_BODY_BYTES + 1))
    assert status == 413
    check_error(answer, INVALID_REQUEST, "too_large", (str(MAX_BODY_BYTES), "divide it"))


# -- the command line ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def papers(chain, tmp_path_factory):
    """A folder with what commands are given, genuine and not."""
    folder = tmp_path_factory.mktemp("papers")
    network = chain.network
    for name in ("file", "other"):
        (folder / name).write_bytes(name.encode())
        done = chainnode(network.client_home, "notarize", str(folder / name))
        assert done.returncode == 0, done.stderr
    (folder / "policy").write_bytes(network.policy.read_bytes())
    proof = (folder / "file.tlog-proof").read_text().splitlines(keepends=True)
    cosigned = [n for n, line in enumerate(proof) if line.startswith("— ")]
    # The log's own signature, and one cosignature less than a quorum.
    (folder / "poor.tlog-proof").write_text("".join(proof[: cosigned[0] + QUORUM]))
    file = (folder / "file").read_bytes()
    for name, stranger in {
        "foreign": Alliance(),
        "namesake": Alliance(origin=homes.CHAIN_ID),
    }.items():
        (folder / f"{name}.tlog-proof").write_bytes(stranger.notarization(file).encode())
        (folder / f"{name}-policy").write_bytes(stranger.policy().encode())
    (folder / "garbage").write_bytes(b"\xff\x00garbage")
    (folder / "wrong-passphrase").write_text("not the one")
    (folder / "wrong-passphrase").chmod(0o600)
    return folder


def verifying(file, proof, policy="policy"):
    return ("verify", f"@{file}", f"@{proof}", "--policy", f"@{policy}")


NOT_HELD, USAGE, NO_NODE, CHAIN_REFUSED, CANNOT_TELL, NOT_FOUND = 1, 2, 3, 4, 5, 6

COMMANDS = {
    # What is proven not to hold.
    "another-file": (verifying("other", "file.tlog-proof"), NOT_HELD, ("another document",)),
    "too-few-cosignatures": (
        verifying("file", "poor.tlog-proof"),
        NOT_HELD,
        ("found 2 cosignatures", "needs 1 more"),
    ),
    "proof-from-another-chain": (
        verifying("file", "foreign.tlog-proof"),
        NOT_HELD,
        ("sz.gov.example/alliance", homes.CHAIN_ID),
    ),
    "policy-of-another-chain": (
        verifying("file", "file.tlog-proof", "foreign-policy"),
        NOT_HELD,
        ("sz.gov.example/alliance", homes.CHAIN_ID),
    ),
    # Strangers under the chain's name: they might be its validators of another time.
    "proof-from-a-namesake": (
        verifying("file", "namesake.tlog-proof"),
        CANNOT_TELL,
        ("keys of devnet.example/alliance that the policy does not know",),
    ),
    "policy-of-a-namesake": (
        verifying("file", "file.tlog-proof", "namesake-policy"),
        CANNOT_TELL,
        ("keys of devnet.example/alliance that the policy does not know",),
    ),
    # What cannot be read.
    "no-file": (verifying("absent", "file.tlog-proof"), USAGE, ("absent", "No such file")),
    "no-proof": (verifying("file", "absent"), USAGE, ("absent", "No such file")),
    "no-policy": (verifying("file", "file.tlog-proof", "absent"), USAGE, ("absent",)),
    "garbage-for-proof": (verifying("file", "garbage"), USAGE, ("garbage: proof: ",)),
    "garbage-for-policy": (
        verifying("file", "file.tlog-proof", "garbage"),
        USAGE,
        ("garbage: policy: ",),
    ),
    "policy-for-proof": (verifying("file", "policy"), USAGE, ("policy: proof: ",)),
    "folder-to-notarize": (("notarize", "@"), USAGE, ("Is a directory",)),
    "nothing-to-notarize": (("notarize", "@absent"), USAGE, ("absent", "No such file")),
    "wrong-passphrase": (
        ("notarize", "@garbage", "--passphrase-file", "@wrong-passphrase"),
        USAGE,
        ("passphrase",),
    ),
    "unknown-option": (("notarize", "@garbage", "--fast"), USAGE, ("--fast",)),
    # Who does not answer, and what is not there.
    "no-node": (("--rpc", "@url", "status"), NO_NODE, ("check that the node runs",)),
    "no-node-to-notarize": (
        ("--rpc", "@url", "notarize", "@garbage"),
        NO_NODE,
        ("check that the node runs",),
    ),
    "unknown-transaction": (("tx", "show", "00" * 32), NOT_FOUND, ("00" * 32,)),
    "unknown-block": (("block", "show", "1000000"), NOT_FOUND, ("1000000",)),
    "unknown-account-to-show": (
        ("account", "show", "agency-1/nobody"),
        NOT_FOUND,
        ("agency-1/nobody",),
    ),
    "unregistered-file": (("lookup", "@garbage"), NOT_FOUND, ("garbage",)),
    "unregistered-digest": (("lookup", "ab" * 32), NOT_FOUND, ("ab" * 32,)),
    # What the chain says no to.
    "unknown-account": (
        ("notarize", "@garbage", "--as", "agency-1/nobody"),
        CHAIN_REFUSED,
        ("agency-1/nobody",),
    ),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_command_ends_in_one_line_and_its_exit_status(chain, papers, case):
    arguments, status, words = COMMANDS[case]
    (silent_port,) = free_ports(1)
    told = [
        f"http://{LOOPBACK}:{silent_port}"
        if argument == "@url"
        else str(papers / argument[1:])
        if argument.startswith("@")
        else argument
        for argument in arguments
    ]
    with nothing_changes(chain.network):
        done = chainnode(chain.network.client_home, *told)
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_notarizing_without_the_role_ends_with_the_chains_refusal(chain, papers):
    with nothing_changes(chain.network, failed=1):
        done = chainnode(chain.network.admin_home, "--json", "notarize", str(papers / "garbage"))
    assert done.returncode == CHAIN_REFUSED
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "missing_role"
    assert homes.ADMIN_ACCOUNT in error["message"]
    assert not (papers / "garbage.tlog-proof").exists()


# -- genesis -------------------------------------------------------------------------------------------------


def resigned(member, signers):
    """Have all keys of a changed member's file sign it, as an agency could that has them."""
    statement = member.statement()
    by_key = {signer.public_key: signer for signer in signers}
    proofs = {key: by_key[key].sign(statement) for _, key in member.named_keys()}
    return replace(member, proofs=proofs)


@pytest.mark.parametrize("purpose", ["cosigner_key", "log_key"])
@pytest.mark.parametrize("whose", ["own", "anothers"])
def test_genesis_with_one_key_for_two_purposes_is_not_assembled(network, tmp_path, purpose, whose):
    passphrase = (network.directory / homes.PASSPHRASE).read_bytes()
    keys = [
        keystore.open(info.name, passphrase)
        for keystore in (KeyStore(network.node(n).home / homes.KEYS) for n in ("v1", "v2"))
        for info in keystore.list()
    ]
    files = [network.node(f"v{n}").home / f"agency-{n}.member.json" for n in (1, 2)]
    first, second = (decode_member(file.read_bytes()) for file in files)
    reused = (second if whose == "own" else first).validator.consensus_key
    changed = resigned(
        replace(second, validator=replace(second.validator, **{purpose: reused})), keys
    )
    (tmp_path / "changed").write_bytes(changed.encode())
    done = chainnode(
        tmp_path,
        *("--json", "genesis", "assemble", "--chain-id", "x.example/y"),
        *map(str, (files[0], tmp_path / "changed")),
    )
    assert done.returncode == USAGE
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "key_reused"
    assert "one key has one purpose" in error["message"]
    assert not (tmp_path / "genesis").exists()
