"""Asking outside witnesses in rounds: real witnesses over HTTP, and ones that fail or lie."""

import asyncio
import contextlib

import aiohttp
import pytest
from aiohttp import web

from chainnode.logs import Log
from chainnode.model.note import signature_lines
from chainnode.model.tlog_policy import Policy, Witness, validators_policy
from chainnode.node.outside_rounds import MAX_BACKOFF_MS, RENEW_MS, OutsideRounds
from chainnode.rpc.witness_endpoint import SUBMISSION_PATH, SubmissionEndpoint
from chainnode.services.log import LogService
from chainnode.services.outside import OutsideCosignatures
from tests.support.chain import make_chain
from tests.support.rpc import make_node, serve
from tests.support.witnesses import make_witness

INTERVAL_MS = 200


class World:
    """A chain's node, and one outside witness of its log that is asked when the test says so."""

    def __init__(self, directory, url, answers):
        chain = make_chain()
        self.policy = validators_policy(
            chain.genesis.suite,
            chain.genesis.chain_id,
            [(v.name, v.log.public, v.cosigner.public) for v in chain.validators],
        )
        self.witness = make_witness(directory, self.policy)
        self.answers = answers
        outside = Policy(
            logs=(),
            witnesses=(Witness(name="w", key=self.witness.key, url=url),),
            groups=(),
            quorum="w",
        )
        self.node = make_node(outside=outside)
        self.lines = []
        self.outside = self.node.services.log.outside
        self.rounds = self.make_rounds(self.node.services.log)

    def make_rounds(self, log):
        return OutsideRounds(
            outside=log.outside,
            log=log,
            clock=self.node.clock,
            events=Log(self.lines.append, now_ms=self.node.clock.now_ms),
            interval_ms=INTERVAL_MS,
            context=None,
        )

    def grow(self, label):
        self.node.engine.commit([self.node.chain.notarization(label)])
        self.node.engine.cosign()

    def newest_height(self):
        newest = self.outside.newest
        return None if newest is None else newest.cosigned.height

    def events(self, name):
        return [line for line in self.lines if f" {name} " in line]


class Door:
    """The witness's door, where a test can stand in its way."""

    def __init__(self):
        self.endpoint = None
        self.instead = None
        """A response that is given instead, or None."""

        self.bodies = []

    async def answer(self, request, turn):
        if self.instead is None:
            return await self.endpoint.answer(request, turn)
        self.bodies.append(await request.read())
        status, body = self.instead
        return web.Response(status=status, body=body)

    def tick(self):
        pass

    def refuse(self, error):
        return self.endpoint.refuse(error)


def in_world(tmp_path, work):
    """Run `work(world, ask, door)`; `ask()` is one round."""

    async def run():
        door = Door()
        async with serve(endpoints={SUBMISSION_PATH: door}) as served:
            world = World(tmp_path, served.url, door)
            door.endpoint = SubmissionEndpoint(world.witness)
            async with aiohttp.ClientSession() as session:
                asked = world.rounds._witnesses(session)

                async def ask():
                    await world.rounds._round(asked)
                    world.node.clock.advance(INTERVAL_MS)

                await work(world, ask, door)

    asyncio.run(run())


def test_each_new_checkpoint_is_cosigned(tmp_path):
    async def work(world, ask, _):
        await ask()
        assert world.newest_height() is None
        for number in range(1, 5):
            world.grow(str(number))
            await ask()
            assert world.newest_height() == number
        assert world.lines == []

    in_world(tmp_path, work)


def test_the_same_tree_is_cosigned_again_once_in_a_while(tmp_path):
    async def work(world, ask, door):
        world.grow("first")
        await ask()
        door.instead = (500, b"")
        await ask()
        assert door.bodies == []
        world.node.clock.advance(RENEW_MS)
        await ask()
        assert len(door.bodies) == 1

    in_world(tmp_path, work)


def test_what_another_validator_submitted_is_found_out_from_the_witness(tmp_path):
    async def work(world, ask, _):
        world.grow("first")
        world.grow("second")
        own = world.node.services.log.for_witnesses()
        # Another node of the chain was faster with this tree; this one thinks that nothing was cosigned yet.
        async with aiohttp.ClientSession() as session:
            other = make_node(
                outside=Policy(
                    logs=(),
                    witnesses=world.outside.witnesses,
                    groups=(),
                    quorum="w",
                )
            )
            for label in ("first", "second"):
                other.engine.commit([other.chain.notarization(label)])
                other.engine.cosign()
            rounds = world.make_rounds(other.services.log)
            await rounds._round(rounds._witnesses(session))
        assert other.services.log.for_witnesses().note.text == own.note.text
        assert other.services.log.outside.newest is not None
        await ask()
        assert world.newest_height() == 2
        world.grow("third")
        await ask()
        assert world.newest_height() == 3
        assert world.lines == []

    in_world(tmp_path, work)


def test_a_witness_that_has_seen_more_than_this_node_is_asked_again_later(tmp_path):
    async def work(world, ask, door):
        world.grow("first")
        door.instead = (409, b"500\n")
        await ask()
        assert world.newest_height() is None
        assert world.lines == []
        assert len(door.bodies) == 1
        # Not before there is as much here.
        await ask()
        assert len(door.bodies) == 1

    in_world(tmp_path, work)


@pytest.mark.parametrize(
    "instead",
    [
        (500, b"no"),
        (404, b"who are you"),
        (403, b"no"),
        (301, b""),
        (200, b""),
        (200, b"\xff"),
        (200, "— w.example AAAAAAAA\n".encode()),
        (200, bytes(70_000)),
        (409, b"many\n"),
    ],
)
def test_a_witness_that_fails_is_left_out_for_longer_each_time(tmp_path, instead):
    async def work(world, ask, door):
        world.grow("first")
        door.instead = instead
        for _ in range(30):
            await ask()
        assert 2 <= len(door.bodies) <= 5
        assert len(world.events("outside_witness_lost")) == 1
        door.instead = None
        world.node.clock.advance(MAX_BACKOFF_MS)
        await ask()
        assert world.newest_height() == 1
        assert len(world.events("outside_witness_back")) == 1

    in_world(tmp_path, work)


@pytest.mark.parametrize("instead", [(422, b"no"), (409, b"0\n")])
def test_a_witness_that_knows_another_history_is_an_error_in_the_log(tmp_path, instead):
    async def work(world, ask, door):
        world.grow("first")
        door.instead = instead
        await ask()
        (line,) = world.events("outside_witness_contradicts")
        assert " error " in line

    in_world(tmp_path, work)


def test_a_cosignature_of_another_tree_or_time_is_not_taken(tmp_path):
    async def work(world, ask, door):
        world.grow("first")
        await ask()
        world.grow("second")
        door.instead = (422, b"")
        await ask()
        # The signature of the first tree, given for the second.
        signature = world.outside.newest.signatures[0]
        door.instead = (200, signature_lines((signature,)).encode())
        world.node.clock.advance(MAX_BACKOFF_MS)
        await ask()
        assert world.newest_height() == 1
        # A witness whose clock is an hour ahead.
        door.instead = None
        world.witness._clock.wall_ms += 3_600_000
        world.node.clock.advance(MAX_BACKOFF_MS)
        await ask()
        assert world.newest_height() == 1

    in_world(tmp_path, work)


def test_a_witness_that_cannot_be_reached_holds_nobody_up(tmp_path):
    async def work(world, ask, _):
        world.grow("first")
        (witness,) = world.outside.witnesses
        nobody = Witness(name="gone", key=witness.key, url="http://127.0.0.1:1")
        policy = Policy(logs=(), witnesses=(nobody, witness), groups=(), quorum="w")
        outside = OutsideCosignatures(policy, world.node.chain.genesis.suite, world.node.clock)
        log = LogService(
            ledger=world.node.ledger,
            engine=world.node.engine,
            log_signer=world.node.services.log._signer,
            outside=outside,
        )
        rounds = world.make_rounds(log)
        async with aiohttp.ClientSession() as session:
            await rounds._round(rounds._witnesses(session))
        assert outside.newest is not None
        assert len(world.events("outside_witness_lost")) == 1

    in_world(tmp_path, work)


def test_rounds_go_on_until_they_are_cancelled(tmp_path):
    async def work(world, _ask, _door):
        world.grow("first")
        task = asyncio.create_task(world.rounds.run())
        while world.newest_height() is None:
            await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    in_world(tmp_path, work)
