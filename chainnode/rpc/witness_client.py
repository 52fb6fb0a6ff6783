"""Asking a witness for its cosignature (C2SP tlog-witness, the log's side)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiohttp

from chainnode.model.cosignature import cosignature_time_s, verify_cosignature
from chainnode.model.errors import DecodeError, ProofInvalid, Refused, Unavailable
from chainnode.model.note import parse_signature_lines
from chainnode.model.tlog_witness import SizeConflict, parse_size
from chainnode.rpc.client import unreachable

if TYPE_CHECKING:
    import ssl

    from chainnode.model.note import Signature
    from chainnode.model.tlog_policy import Witness
    from chainnode.model.tlog_witness import Submission

TIMEOUT_S: Final = 5
"""For one submission. Others are asked at the same time; a round of asking takes as long as the slowest."""

MAX_ANSWER_BYTES: Final = 64 * 1024
"""A handful of signature lines; a post-quantum one has 3,400 bytes."""

MAX_SKEW_S: Final = 300
"""How far a cosignature's time may be from ours, as among validators; it is shown to whoever verifies a proof."""


class WitnessClient:
    """Submits to one witness."""

    def __init__(
        self, witness: Witness, session: aiohttp.ClientSession, context: ssl.SSLContext | None
    ) -> None:
        """Prepare to ask.

        Args:
            witness: with its URL, the submission prefix.
            session: what to ask over; whoever made it closes it.
            context: how to verify its certificate; None for the system's trust roots.
        """
        self._witness = witness
        self._url = f"{(witness.url or '').rstrip('/')}/add-checkpoint"
        self._session = session
        self._ssl: ssl.SSLContext | bool = True if context is None else context

    async def add_checkpoint(self, submission: Submission, now_s: int) -> Signature:
        """Return the witness's cosignature, verified.

        Args:
            submission: what to submit.
            now_s: POSIX seconds.

        Raises:
            SizeConflict: it has cosigned another size than thought.
            ProofInvalid: it says that the checkpoint does not continue what it has cosigned, or its signature does not hold.
            Refused: it does not witness this log, or does not take its signatures.
            Unavailable: it cannot be reached, or answers what no witness does.
        """
        status, body = await self._post(submission.encode())
        name = self._witness.name
        said = body[:200].decode(errors="replace").strip()
        match status:
            case 200:
                return self._cosignature(submission, body, now_s)
            case 409:
                try:
                    size = parse_size(body)
                except DecodeError as error:
                    raise self._bad_answer(error.message) from error
                raise SizeConflict(f"{name} has cosigned {size} records", size=size)
            case 422:
                raise ProofInvalid(
                    f"{name} says that the log does not continue what it has cosigned of it: {said}",
                    code="inconsistent",
                )
            case 400 | 403 | 404:
                raise Refused(f"{name} refuses (HTTP {status}): {said}", code="not_witnessed")
            case _:
                raise self._bad_answer(f"HTTP {status}: {said}")

    def _cosignature(self, submission: Submission, body: bytes, now_s: int) -> Signature:
        key = self._witness.key
        try:
            lines = parse_signature_lines(body.decode())
            found = next(s for s in lines if (s.name, s.key_id) == (key.name, key.key_id))
            verify_cosignature(key, submission.note.text, found)
            time_s = cosignature_time_s(found)
        except (DecodeError, UnicodeDecodeError) as error:
            raise self._bad_answer(str(error)) from error
        except StopIteration:
            raise self._bad_answer("no signature by the key that the policy has") from None
        if abs(time_s - now_s) > MAX_SKEW_S:
            raise self._bad_answer(f"a cosignature of {time_s}, while it is {now_s} here")
        return found

    def _bad_answer(self, found: str) -> Unavailable:
        return Unavailable(f"{self._witness.name} gives no cosignature: {found}", code="bad_answer")

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers={"Content-Type": "text/plain; charset=utf-8"},
                ssl=self._ssl,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                allow_redirects=False,
            ) as response:
                answer = bytearray()
                async for chunk in response.content.iter_any():
                    answer += chunk
                    if len(answer) > MAX_ANSWER_BYTES:
                        raise self._bad_answer(f"more than {MAX_ANSWER_BYTES} bytes")
                return response.status, bytes(answer)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise unreachable(self._url, error) from error
