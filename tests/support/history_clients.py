"""Clients of a network who write and read at all of its nodes at once, and remember all of it as one history."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack

from chainnode.keystore.keystore import KeyStore
from chainnode.keystore.randomness import fresh_nonce
from chainnode.model.calls import Document, grant_role, register_documents, revoke_role
from chainnode.model.errors import ChainError, NotFound, Refused, Unavailable
from chainnode.model.genesis import decode_genesis
from chainnode.model.ids import Height
from chainnode.model.roles import Role
from chainnode.model.transaction import Body, sign_transaction
from chainnode.rpc.client import Member, RpcClient, from_base64
from contracts.identity.records import decode_account
from contracts.query import account_state_key
from devnet import homes
from devnet.bench.workload import Number, digests_of, seed_of
from tests.support import history

CLIENTS = 6
ANSWER_MS = 1_500
"""A validator that is stopped answers nothing at all."""

PAUSE_S = 0.1
"""After no answer, before asking somebody else."""

KNOWN = 30
"""Clients ask about this many of the newest transactions."""

REGISTERS = {
    f"{account} {role}": (account, role)
    for account, role in (
        (homes.NOTARY_ACCOUNT, Role.ORG_ADMIN),
        (homes.ADMIN_ACCOUNT, Role.ORG_ADMIN),
        (homes.ADMIN_ACCOUNT, Role.NOTARY),
    )
}
"""Keys that hold a value: whether an account holds a role. Each has one that genesis does not give it."""

INITIAL = dict.fromkeys(REGISTERS, False)

NOTHING_TAKEN = {"overloaded", "pool_full", "share_used_up"}


class Clients:
    """All clients of one history; `run` is for a thread of its own."""

    def __init__(self, network, seed):
        self.history = history.History()
        self._urls = {node.name: node.rpc for node in network.nodes}
        self._random = random.Random(seed)
        self._genesis = decode_genesis(network.genesis.read_bytes())
        passphrase = (network.directory / homes.PASSPHRASE).read_bytes()
        self._signers = {}
        for account, home in (
            (homes.NOTARY_ACCOUNT, network.client_home),
            (homes.ADMIN_ACCOUNT, network.admin_home),
        ):
            keys = KeyStore(home / homes.KEYS)
            (info,) = keys.list()
            self._signers[account] = keys.open(info.name, passphrase)
        self._is_over = False
        self._documents = 0
        self._tip = 0
        """The highest that anybody was told."""

    def run(self):
        """Write and read until `stop`."""
        asyncio.run(self._run())

    def stop(self):
        """Have `run` return once what is under way is answered."""
        self._is_over = True

    async def _run(self):
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            member = Member(
                account=homes.NOTARY_ACCOUNT,
                signer=self._signers[homes.NOTARY_ACCOUNT],
                domain=self._genesis.domain,
            )
            for number in range(CLIENTS):
                nodes = {
                    name: await stack.enter_async_context(
                        RpcClient(url, member=member, timeout_ms=ANSWER_MS)
                    )
                    for name, url in self._urls.items()
                }
                tasks.create_task(_Client(self, f"client-{number}", nodes).work())

    # -- what clients share ------------------------------------------------------------------------------------

    @property
    def is_over(self):
        return self._is_over

    @property
    def random(self):
        return self._random

    def heard(self, height):
        self._tip = max(self._tip, height)

    @property
    def tip(self):
        return self._tip

    def known(self):
        """One of the newest transactions, or None."""
        newest = list(self.history.transactions.values())[-KNOWN:]
        return self._random.choice(newest) if newest else None

    def document(self):
        """A new document's transaction, and its envelope."""
        self._documents += 1
        number = Number(9, self._documents)
        digests = digests_of(number, 0)
        call = register_documents([Document(digests=digests)], seed=seed_of(number))
        return self._signed(homes.NOTARY_ACCOUNT, call, digest=digests[0].value.hex())

    def change(self):
        """A transaction that grants or takes a role, and its envelope."""
        key, (account, role) = self._random.choice(list(REGISTERS.items()))
        value = self._random.random() < 0.5
        call = grant_role(account, role) if value else revoke_role(account, role)
        refusal = "role_held" if value else "role_not_held"
        return self._signed(homes.ADMIN_ACCOUNT, call, change=history.Change(key, value, refusal))

    def _signed(self, account, call, **meaning):
        # Some are valid for so few blocks that they may well expire.
        lasts = self._random.choice((2, 20, 1_000))
        body = Body(
            chain_id=self._genesis.chain_id,
            sender=account,
            nonce=fresh_nonce(),
            last_valid_height=Height(self._tip + lasts),
            calls=(call,),
        )
        signer = self._signers[account]
        signed = sign_transaction(
            self._genesis.domain, body, public_key=signer.public_key, sign=signer.sign
        )
        transaction = history.Transaction(
            tx_id=signed.id.hex(), last_valid_height=self._tip + lasts, **meaning
        )
        self.history.transactions[transaction.tx_id] = transaction
        return transaction, signed.envelope


class _Client:
    """One client: it asks one thing after the other, of any node."""

    def __init__(self, all_, name, nodes):
        self._all = all_
        self._name = name
        self._nodes = nodes

    async def work(self):
        while not self._all.is_over:
            node = self._all.random.choice(list(self._nodes))
            action = self._all.random.choice(ACTIONS)
            await action(self, node)
            # Let the others have their turn, whatever that was.
            await asyncio.sleep(0)

    async def register_document(self, node):
        await self._submit(node, *self._all.document())

    async def register_document_at_two_nodes(self, node):
        transaction, envelope = self._all.document()
        other = self._all.random.choice([name for name in self._nodes if name != node])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._submit(node, transaction, envelope))
            tasks.create_task(self._submit(other, transaction, envelope))

    async def change_a_role(self, node):
        await self._submit(node, *self._all.change())

    async def _submit(self, node, transaction, envelope):
        async def submit(client):
            return outcome(await client.tx_submit_and_wait(envelope, timeout_ms=ANSWER_MS))

        await self._record(node, submit, tx_id=transaction.tx_id, is_write=True)

    async def ask_for_a_transaction(self, node):
        transaction = self._all.known()
        if transaction is None:
            return

        async def ask(client):
            last = self._all.random.choice((None, transaction.last_valid_height))
            return outcome(await client.tx_get(transaction.tx_id, last_valid_height=last))

        await self._record(node, ask, tx_id=transaction.tx_id)

    async def read_a_header(self, node):
        height = max(1, self._all.tip + self._all.random.randint(-5, 2))

        async def ask(client):
            try:
                return header(await client.chain_header(height))
            except NotFound:
                return history.NoHeader(height)

        await self._record(node, ask)

    async def read_the_tip(self, node):
        async def ask(client):
            try:
                return header(await client.chain_header(), is_tip=True)
            except NotFound:
                return history.NoHeader(1)

        await self._record(node, ask)

    async def read_a_role(self, node):
        key, (account, role) = self._all.random.choice(list(REGISTERS.items()))

        async def ask(client):
            found = await client.account_get(account)
            return history.Value(key, role.value in found["roles"])

        await self._record(node, ask)

    async def read_a_role_with_its_height(self, node):
        key, (account, role) = self._all.random.choice(list(REGISTERS.items()))
        height = self._all.random.choice((None, max(0, self._all.tip - 1)))

        async def ask(client):
            try:
                found = await client.state_get(account_state_key(account), height=height)
            except NotFound:
                return history.NoHeader(height)
            roles = decode_account(from_base64(found["value"])).roles
            return history.Value(key, role.value in roles, found["height"], is_tip=height is None)

        await self._record(node, ask)

    async def read_the_checkpoint(self, node):
        async def ask(client):
            found = await client.log_checkpoint()
            return history.Checkpoint(found["height"], found["size"], found["root"])

        await self._record(node, ask)

    async def look_a_document_up(self, node):
        transaction = self._all.known()
        if transaction is None or transaction.digest is None:
            return

        async def ask(client):
            found = await client.notary_lookup("sha256", transaction.digest)
            assert found["as_member"]
            tx_ids = tuple(record["tx_id"] for record in found["records"])
            return history.Registrations(transaction.digest, tx_ids)

        await self._record(node, ask)

    async def _record(self, node, question, *, tx_id=None, is_write=False):
        began_ns = time.monotonic_ns()
        try:
            answer = await question(self._nodes[node])
        except Unavailable as error:
            is_refusal = error.error_code in NOTHING_TAKEN
            answer = history.Refused(error.error_code) if is_refusal else history.NoAnswer()
        except Refused as error:
            answer = history.Refused(error.error_code)
        except ChainError as error:
            raise AssertionError(f"{node} answers {self._name}: {error!r}") from error
        if isinstance(answer, history.InBlock | history.Header):
            self._all.heard(answer.height)
        self._all.history.operations.append(
            history.Operation(
                client=self._name,
                node=node,
                began_ns=began_ns,
                ended_ns=time.monotonic_ns(),
                answer=answer,
                tx_id=tx_id,
                is_write=is_write,
            )
        )
        if isinstance(answer, history.NoAnswer):
            # A node that is down refuses at once; nobody shall spin on that.
            await asyncio.sleep(PAUSE_S)


ACTIONS = (
    *(_Client.register_document,) * 4,
    _Client.register_document_at_two_nodes,
    *(_Client.change_a_role,) * 3,
    *(_Client.ask_for_a_transaction,) * 3,
    _Client.read_a_header,
    _Client.read_the_tip,
    *(_Client.read_a_role,) * 2,
    *(_Client.read_a_role_with_its_height,) * 2,
    _Client.read_the_checkpoint,
    _Client.look_a_document_up,
)


# -- answers as a history has them -----------------------------------------------------------------------------


def outcome(found):
    """What a node says of a transaction."""
    if found["receipt"] is not None:
        return history.InBlock(found["height"], found["position"], receipt(found["receipt"]))
    return history.Expired() if found["status"] == "expired" else history.NotInBlock()


def receipt(found):
    """A receipt as a node shows it."""
    return history.Receipt(
        found["tx_id"],
        found["succeeded"],
        found["code"],
        found["first_record"],
        found["record_count"],
    )


def header(found, *, is_tip=False):
    """A header as a node shows it."""
    return history.Header(
        found["height"],
        found["block_hash"],
        found["state_root"],
        found["log_size"],
        found["log_root"],
        is_tip=is_tip,
    )


def read_chains(network):
    """Every node's whole chain, up to the same height."""
    top = min(network.status(node.name)["tip_height"] for node in network.nodes)

    async def read(client):
        return tuple([block(await client.chain_block(height)) for height in range(1, top + 1)])

    return {node.name: network.ask(node.name, read) for node in network.nodes}


def block(found):
    """A block as a node shows it."""
    head = found["header"]
    return history.Block(
        head["height"],
        head["block_hash"],
        head["state_root"],
        head["log_size"],
        head["log_root"],
        tuple(receipt(r) for r in found["receipts"]),
    )
