"""The page that checks a file against one proof, in a browser, without any network.

It carries proof and policy as files, and its script reads those very files. A page can be forged as a whole, which it
says, with the commands that check the same things without it.
"""

from __future__ import annotations

import base64
import hashlib
import html
import shlex
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from chainnode.model.suites import ED25519_SHA256
from chainnode.rpc.html_page import Words, code, fields, page, time_html

if TYPE_CHECKING:
    from chainnode.model.notarization import Notarization
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_proof import Verdict
    from chainnode.rpc.html_page import Row

_TITLE: Final = Words("存证离线核验", "Offline check of a notarized document")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that goes along."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """A proof that holds, and what is said of it."""

    document: str
    """What the document's file is probably called."""

    notarization: Notarization
    verdict: Verdict
    """What checking the proof under the policy has shown."""

    proof: Attachment
    policy: Attachment
    suite: Suite
    """The chain's."""

    token: Attachment | None
    """A timestamp token (.tsr) of the same document."""

    is_token_by_sm2: bool
    """Whether an SM2 key signed it, so that `openssl ts` cannot check it."""


def verification_page(papers: Papers) -> str:
    """Return the page."""
    body = "\n".join(
        (
            _choose(),
            _facts(papers),
            _attached(papers),
            _without_us(papers),
        )
    )
    return page(_TITLE, body, script=scripts())


def scripts() -> str:
    """Return the JavaScript of the page."""
    folder = files("cli.papers")
    return "".join(
        (folder / name).read_text(encoding="utf-8") for name in ("sm3.js", "proof.js", "page.js")
    )


def _choose() -> str:
    ask = Words("选择原文件，或把它拖到本页", "Choose the original file, or drag it onto this page")
    stays = Words(
        "文件不会离开本机：本页不能访问网络",
        "The file does not leave this machine: the page can reach no network",
    )
    none = Words("尚未核验", "Nothing has been checked yet")
    no_script = Words(
        "浏览器未启用脚本：请用下面的命令核验",
        "Scripts are switched off: use the commands below",
    )
    return (
        f'<div class="drop"><label for="file">{ask.html()}</label>'
        '<input type="file" id="file" aria-describedby="stays">'
        f'<p id="stays">{stays.html()}</p></div>\n'
        f"<noscript><p>{no_script.html()}</p></noscript>\n"
        f'<section id="result" role="status" aria-live="polite"><p id="verdict">{none.html()}</p></section>'
    )


def _facts(papers: Papers) -> str:
    record, verdict = papers.notarization.record, papers.verdict
    rows: list[Row] = [
        (Words(f"摘要 {d.algorithm}", "digest"), code(d.value.hex()))
        for d in papers.notarization.opening.digests
    ]
    rows += [
        (Words("链", "chain"), code(verdict.checkpoint.origin)),
        (Words("账户", "account"), code(record.account)),
        (Words("日志序号", "log index"), str(verdict.index)),
        (Words("区块高度", "block"), str(record.height)),
        (Words("区块时间", "block time"), time_html(record.time_ms)),
        (
            Words("认证时间区间", "certified interval"),
            f"{time_html(record.not_before_ms)} – {time_html(record.not_after_ms)}",
        ),
        (
            Words("交易", "transaction"),
            code(f"{record.tx_id.hex()}-{record.call}-{record.item}"),
        ),
        (
            Words("检查点", "checkpoint"),
            f"{verdict.checkpoint.size} · {code(verdict.checkpoint.root.hex())}",
        ),
        (Words("见证方", "cosigned by"), "<br>".join(code(c.label) for c in verdict.cosigners)),
    ]
    meaning = Words(
        "文件最迟在认证时间区间结束时已存在；它也可能更早。存证不说明内容真实，也不说明归谁所有。其后是否被撤回，证明本身不能说明。",
        "The document existed by the end of the certified interval, and may be older. That says neither that its content is true "
        "nor whose it is; and whether the record was withdrawn since then, no proof can know.",
    )
    heading = Words("证明的内容", "What the proof says").html()
    return f"<h2>{heading}</h2>\n{fields(rows)}\n<p>{meaning.html()}</p>"


def _attached(papers: Papers) -> str:
    items = [
        _link("proof", papers.proof, Words("证明", "proof")),
        _link("policy", papers.policy, Words("验证策略", "policy")),
    ]
    if papers.token is not None:
        items.append(_link("token", papers.token, Words("时间戳令牌", "timestamp token")))
    digest = hashlib.sha256(papers.policy.content).hexdigest()
    compare = Words(
        "验证策略决定谁的签名算数：请从可信来源取得，并比较它的 SHA-256",
        "The policy decides whose signatures count: get it from a source that you trust, and compare its SHA-256",
    )
    heading = Words("所附文件", "Files").html()
    inner = "".join(f"<li>{item}</li>" for item in items)
    return f"<h2>{heading}</h2>\n<ul>{inner}</ul>\n<p>{compare.html()} {code(digest)}</p>"


def _link(identifier: str, attachment: Attachment, words: Words) -> str:
    name = html.escape(attachment.name)
    data = base64.b64encode(attachment.content).decode()
    return (
        f'<a id="{identifier}" download="{name}" href="data:application/octet-stream;base64,{data}">'
        f"{words.html()} <code>{name}</code></a>"
    )


def _without_us(papers: Papers) -> str:
    document, proof, policy = (
        shlex.quote(name) for name in (papers.document, papers.proof.name, papers.policy.name)
    )
    commands = [
        f"{_DIGEST_COMMANDS[d.algorithm]} {document}\n# {d.value.hex()}"
        for d in papers.notarization.opening.digests
    ]
    commands.append(f"chainnode verify {document} {proof} --policy {policy}")
    commands += token_commands(papers)
    forged = Words(
        "本页本身可能被伪造。以下命令不用本页，核验同样的内容：先保存上面的文件",
        "This page may itself be a forgery. These commands check the same without it; save the files above first",
    )
    readers = _ED25519_READERS if papers.suite.name == ED25519_SHA256 else _SM2_READERS
    heading = Words("不信任本页时如何核验", "For whoever does not trust this page").html()
    listing = html.escape("\n".join(commands))
    return (
        f"<h2>{heading}</h2>\n<p>{forged.html()}</p>\n"
        f'<pre id="commands">{listing}</pre>\n<p>{readers.html()}</p>'
    )


def token_commands(papers: Papers) -> tuple[str, ...]:
    """Return what checks the token without this page, as lines for `sh`; nothing if there is none."""
    if papers.token is None:
        return ()
    document, token, policy = (
        shlex.quote(name) for name in (papers.document, papers.token.name, papers.policy.name)
    )
    if papers.is_token_by_sm2:
        return (
            "# SM2, which openssl ts does not know; asks a node unless the token's own .tlog-proof lies beside it",
            f"chainnode timestamp verify {document} {token} --policy {policy}",
        )
    return (
        "# root.pem: the alliance's root certificate, from a source that you trust",
        f"openssl ts -verify -data {document} -in {token} -CAfile root.pem",
    )


_DIGEST_COMMANDS: Final = {
    "sha256": "sha256sum",
    "sha384": "sha384sum",
    "sha512": "sha512sum",
    "sm3": "openssl dgst -sm3",
}

_ED25519_READERS: Final = Words(
    "证明与验证策略是 C2SP 的 tlog-proof 与 tlog-policy：Go 的 github.com/transparency-dev/formats 和 golang.org/x/mod/sumdb/note 也能核验",
    "Proof and policy are C2SP tlog-proof and tlog-policy: Go's github.com/transparency-dev/formats and golang.org/x/mod/sumdb/note check "
    "them too",
)

_SM2_READERS: Final = Words(
    "SM2 签名与 SM3 树可用 Bouncy Castle 核验，格式见 docs/formats/log-and-proofs.md",
    "SM2 signatures and the SM3 tree can be checked with Bouncy Castle; docs/formats/log-and-proofs.md has the format",
)
