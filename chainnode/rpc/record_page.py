"""`GET /v/{id}`: one record for people, as a printed QR code leads to it; and its proof, to be checked offline.

    /v/<log index>                              the shortest
    /v/<tx id>-<call>-<item>                    as results name records; without call and item: the first
    either of them, and .tlog-proof behind it   the proof

No script, nothing from elsewhere, and nothing that is not public: of a blinded registration neither digest, title nor
marks.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final

from aiohttp import web

from chainnode.model import marks, timestamp
from chainnode.model.errors import NotFound, Unavailable
from chainnode.model.notarization import KIND as NOTARY
from chainnode.model.record import EVIDENCE_KIND, PARENT_KIND
from chainnode.rpc.endpoint import retry_after_header
from chainnode.rpc.html_page import (
    Words,
    code,
    fields,
    own_words,
    page,
    second_html,
    security_policy,
    time_html,
)
from chainnode.rpc.limits import RETRY_AFTER_MS
from chainnode.rpc.reading_turn import Share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.codec import Value
    from chainnode.model.errors import DecodeError
    from chainnode.model.record import Record
    from chainnode.rpc.html_page import Row
    from chainnode.rpc.reading_turn import ReadingTurn
    from chainnode.services.public_records import PublicRecord, PublicRecords
    from chainnode.services.registrations import Found

FOLDER: Final = "/v/"

CACHE_S: Final = 60
"""How long a page or proof may be kept: what it says of a withdrawal is as of the tip."""

_SUFFIX: Final = ".tlog-proof"

_PATH: Final = re.compile(
    r"/v/(?:(?P<index>0|[1-9][0-9]{0,18})|(?P<tx>[0-9a-f]{64})(?:-(?P<call>[0-9]{1,3})-(?P<item>[0-9]{1,5}))?)"
    r"(?P<proof>\.tlog-proof)?"
)

_NO_STORE: Final = {"Cache-Control": "no-store"}
_KEEP: Final = {"Cache-Control": f"public, max-age={CACHE_S}"}

_SAFE: Final = {
    "Content-Security-Policy": f"{security_policy()}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

_KINDS: Final = {
    NOTARY: Words("文件存证", "a notarized document"),
    timestamp.KIND: Words("时间戳", "a timestamp"),
    marks.KIND: Words("对存证的标记", "a mark about a notarized document"),
    "authority": Words("证书认证机构", "about a certificate authority"),
    "identity": Words("机构、账户与密钥", "about an organisation, an account or a key"),
    "algorithms": Words("摘要算法", "about a digest algorithm"),
    EVIDENCE_KIND: Words("违规证据", "evidence of an offence"),
    PARENT_KIND: Words("上一区块", "the block before"),
}


class RecordPages:
    """Answers below `/v/`."""

    def __init__(self, records: PublicRecords) -> None:
        self._records = records

    async def answer(self, request: web.BaseRequest, turn: ReadingTurn) -> web.StreamResponse:
        """Return the page or the proof at the request's path. Raises NodeFault."""
        if request.method not in {"GET", "HEAD"}:
            headers = {"Allow": "GET, HEAD", **_NO_STORE}
            return web.Response(status=405, text="GET only\n", headers=headers)
        match = _PATH.fullmatch(request.rel_url.raw_path)
        await turn.next(Share())
        try:
            if match is None:
                return _not_found()
            record = self._records.show(self._index(match))
        except NotFound:
            return _not_found()
        if match["proof"] is not None:
            return _proof(record)
        return _html(200, *_record_page(record), _NO_STORE if record.proof is None else _KEEP)

    def refuse(self, error: DecodeError | Unavailable) -> web.StreamResponse:
        """Return the response to a request that there is no room for."""
        retry_after_ms = error.retry_after_ms if isinstance(error, Unavailable) else None
        headers = retry_after_header(retry_after_ms or RETRY_AFTER_MS) | _NO_STORE
        return web.Response(status=429, text=f"{error.message}\n", headers=headers)

    def _index(self, match: re.Match[str]) -> int:
        if match["index"] is not None:
            return int(match["index"])
        tx_id = bytes.fromhex(match["tx"])
        return self._records.by_transaction(tx_id, int(match["call"] or 0), int(match["item"] or 0))


def _html(
    status: int, title: Words, body: str, caching: Mapping[str, str] = _NO_STORE
) -> web.Response:
    return web.Response(
        status=status,
        body=page(title, body).encode(),
        headers={"Content-Type": "text/html; charset=utf-8", **caching, **_SAFE},
    )


def _not_found() -> web.Response:
    said = Words(
        "本节点的日志中没有这条记录：请核对编号。刚提交的记录要等它所在的区块裁决之后才能看到",
        "This node's log has no such record: compare the number. A record that was just submitted is here once its block is decided",
    )
    return _html(404, Words("没有这条记录", "No such record"), f"<p>{said.html()}</p>")


def _proof(record: PublicRecord) -> web.Response:
    if record.proof is None:
        return web.Response(
            status=503,
            text="no quorum has cosigned the record yet\n",
            headers={**retry_after_header(RETRY_AFTER_MS), **_NO_STORE},
        )
    return web.Response(
        body=record.proof.encode(),
        headers={
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{record.index}{_SUFFIX}"',
            **_KEEP,
            "X-Content-Type-Options": "nosniff",
        },
    )


# -- the page ----------------------------------------------------------------------------------------------


def _record_page(shown: PublicRecord) -> tuple[Words, str]:
    record = shown.record
    title = Words(f"日志记录 {shown.index}", f"Record {shown.index}")
    kind = _KINDS.get(record.kind)
    rows: list[Row] = [
        (Words("种类", "kind"), html.escape(record.kind) if kind is None else kind.html()),
        (Words("日志序号", "log index"), str(shown.index)),
        *_sender(shown),
        (Words("区块高度", "block"), str(record.height)),
        (Words("区块哈希", "block hash"), code(shown.block_hash.hex())),
        *_submitted(record),
        (Words("区块时间", "block time"), time_html(record.time_ms)),
        (
            Words("认证时间区间", "certified interval"),
            f"{time_html(record.not_before_ms)} – {time_html(record.not_after_ms)}",
        ),
        *_about(shown),
        *_checkpoint(shown),
    ]
    return title, f"{fields(rows)}\n{_offline(shown)}"


def _sender(shown: PublicRecord) -> list[Row]:
    record = shown.record
    if not record.account:
        return []
    organisation = "" if shown.organisation_title is None else own_words(shown.organisation_title)
    return [
        (Words("账户", "account"), f"{code(record.account)} {organisation}".rstrip()),
        (
            Words("交易", "transaction"),
            code(f"{record.tx_id.hex()}-{record.call}-{record.item}"),
        ),
    ]


def _submitted(record: Record) -> list[Row]:
    if not record.account:
        return []
    until = time_html(record.not_after_ms)
    said = Words("确切时刻无从证明", "nobody attests the exact time")
    return [
        (
            Words("提交时间", "submitted"),
            f"{Words('不晚于', 'no later than').html()} {until} ({said.html()})",
        )
    ]


def _about(shown: PublicRecord) -> list[Row]:
    """Return what the record's own body says, by its kind."""
    record = shown.record
    if record.kind == NOTARY:
        return _blinded() if shown.registration is None else _opened(shown.registration)
    if record.kind == timestamp.KIND:
        return _stamped(shown)
    if record.kind == marks.KIND:
        said = " ".join(v for v in record.body[1:] if isinstance(v, str))
        return [(Words("事项", "event"), code(said))]
    return _said(record)


def _blinded() -> list[Row]:
    closed = Words(
        "盲化：日志只含承诺，不含摘要。持有文件和证明的人才能核验，也才能查询它是否被撤回",
        "Blinded: the log holds a commitment, and no digest. Who has the document and its proof can check it, and ask whether it was withdrawn",
    )
    return [(Words("内容", "content"), closed.html())]


def _opened(found: Found) -> list[Row]:
    opening, known = found.registration, found.marks
    rows: list[Row] = [
        (Words(f"摘要 {d.algorithm}", "digest"), code(d.value.hex()))
        for d in opening.opening.digests
    ]
    if opening.title is not None:
        rows.append((Words("标题", "title"), own_words(opening.title)))
    if known.withdrawn is not None:
        gone = known.withdrawn
        said = Words(
            f"已撤回（{gone.code}），区块 {gone.height}，{gone.account}",
            f"withdrawn ({gone.code}) in block {gone.height} by {gone.account}",
        )
        rows.append((Words("状态", "standing"), said.html()))
    elif known.successor is not None:
        said = Words("已有更新的版本", "superseded by a newer version")
        rows.append((Words("状态", "standing"), said.html()))
    else:
        said = Words("未撤回，无更新版本", "neither withdrawn nor superseded")
        rows.append((Words("状态", "standing"), said.html()))
    return rows


def _stamped(shown: PublicRecord) -> list[Row]:
    unit, authority = shown.certificate, timestamp.unit_of(shown.record).authority
    blinded = Words(
        "时间戳所对应的摘要是盲化的：令牌本身能核验它",
        "What was timestamped is blinded: the token itself shows it",
    )
    rows: list[Row] = [(Words("内容", "content"), blinded.html())]
    if unit is not None:
        rows.append((Words("时间戳单元", "timestamp unit"), code(unit.owner)))
    return [*rows, (Words("签发机构", "issuing authority"), code(authority))]


def _said(record: Record) -> list[Row]:
    """Return an event and what it is about; certificates and keys, which are long, by their length."""
    if record.kind == PARENT_KIND:
        return []
    said = " ".join(_word(value) for value in record.body)
    return [(Words("事项", "event"), code(said))]


_LONGEST_WORD: Final = 64
"""Bytes of a value that are shown: digests and keys of any suite."""


def _word(value: Value) -> str:
    if isinstance(value, bytes):
        return value.hex() if len(value) <= _LONGEST_WORD + 1 else f"[{len(value)} bytes]"
    if isinstance(value, tuple):
        return f"[{', '.join(_word(each) for each in value)}]"
    return "-" if value is None else str(value)


def _checkpoint(shown: PublicRecord) -> list[Row]:
    if shown.proof is None:
        waits = Words(
            "尚无法定多数的见证签名，请稍后再看", "no quorum has cosigned it yet; look again soon"
        )
        return [(Words("见证方", "cosigned by"), waits.html())]
    checkpoint = shown.proof.checkpoint
    names = "<br>".join(f"{code(c.label)} {second_html(c.time_s)}" for c in shown.cosigners)
    return [
        (Words("链", "chain"), code(checkpoint.origin)),
        (Words("检查点", "checkpoint"), f"{checkpoint.size} · {code(checkpoint.root.hex())}"),
        (Words("见证方", "cosigned by"), names),
    ]


def _offline(shown: PublicRecord) -> str:
    heading = Words("不信任本节点时如何核验", "For whoever does not trust this node")
    warning = Words(
        "本页由一个节点给出，本身不是证明。验证策略请从可信来源取得",
        "A node says this, and the page proves nothing. Get the policy from a source that you trust",
    )
    name = f"{shown.index}{_SUFFIX}"
    download = Words("下载日志证明", "Download the proof that the log has this record")
    link = f'<p><a href="{FOLDER}{name}" download="{name}">{download.html()}</a></p>'
    if shown.registration is not None:
        command = f"chainnode verify FILE {name} --policy policy"
    elif shown.record.kind == NOTARY:
        command = "chainnode verify FILE FILE.tlog-proof --policy policy"
    elif shown.record.kind == timestamp.KIND:
        command = "chainnode timestamp verify FILE FILE.tsr --policy policy"
    else:
        command = ""
    commands = f"<pre>{html.escape(command)}</pre>" if command else ""
    reading = Words(
        "日志证明是 C2SP 的 tlog-proof；其 extra 的第一个元素是记录本身，任何能读此格式的软件都能核验",
        "It is a C2SP tlog-proof, and the first element of its extra is the record: whatever software reads the format can check it",
    )
    meaning = Words(
        "记录说明登记者最迟在认证时间区间结束时提交了它；不说明内容真实，也不说明归谁所有",
        "The record says that its account submitted it by the end of the certified interval, neither that it is true nor whose the content is",
    )
    return (
        f"<p>{meaning.html()}</p>\n<h2>{heading.html()}</h2>\n<p>{warning.html()}</p>\n"
        f"{link if shown.proof is not None else ''}\n{commands}\n<p>{reading.html()}</p>"
    )
