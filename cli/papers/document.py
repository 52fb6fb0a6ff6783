"""The certificate as a PDF, before it is sealed: what the proof says in Chinese and English, a QR code, and the files."""

from __future__ import annotations

import datetime as dt
import io
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import segno
from fpdf import FPDF
from fpdf.enums import WrapMode

from chainnode.logs import utc
from cli.papers.page import token_commands

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.tsp.reading import Token
    from cli.papers.page import Attachment, Papers

_LEGAL: Final = (
    "该文件最迟在认证时间区间结束时已存在。这不说明内容真实，也不说明归谁所有，也不说明其后是否被撤回。",
    "The document existed by the end of the certified interval. That says neither that its content is true nor whose it is.",
    "Whether the record was withdrawn since then, no proof of the past can know.",
    "《人民法院在线诉讼规则》第十六条：区块链存储的电子数据经技术核验一致的，可以认定上链后未经篡改，有相反证据的除外。",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a certificate says beyond the proof."""

    papers: Papers
    size_bytes: int
    media_type: str
    token: Token | None
    needed: int
    """Cosignatures that the policy asks for."""

    block_hash: bytes | None
    """Of the record's block, or None if it could not be proven."""

    issuer: str
    """Who seals it."""

    base_url: str
    """Where a node's pages are, without a slash at the end."""

    now_ms: int


def compose(certificate: Certificate, attachments: tuple[Attachment, ...], font: Path) -> bytes:
    """Return the PDF. Raises OSError or ValueError: the font cannot be used."""
    pdf = FPDF(format="A4")
    moment = dt.datetime.fromtimestamp(certificate.now_ms / 1_000, dt.UTC)
    pdf.set_creation_date(moment)
    pdf.set_lang("zh-CN")
    pdf.set_title("存证证书 Certificate of notarization")
    pdf.add_font("cjk", fname=font)
    pdf.add_page()
    pdf.set_font("cjk", size=20)
    pdf.cell(
        0, 12, "存证证书 Certificate of notarization", align="C", new_x="LMARGIN", new_y="NEXT"
    )
    address = f"{certificate.base_url}/v/{certificate.papers.verdict.index}"
    image = io.BytesIO()
    segno.make(address, error="m", micro=False).save(image, kind="png", scale=8, border=4)
    pdf.image(image, x=160, y=24, w=36, alt_text=address)
    pdf.ln(4)
    for label, value in _rows(certificate, address):
        _row(pdf, label, value, width=145 if pdf.page_no() == 1 and pdf.get_y() < 62 else 0)
    pdf.ln(3)
    pdf.set_font("cjk", size=9)
    for line in _LEGAL:
        pdf.multi_cell(0, 4.6, line, new_x="LMARGIN", new_y="NEXT")
    pdf.add_page()
    pdf.set_font("cjk", size=14)
    pdf.cell(0, 10, "技术附录 Technical appendix", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("cjk", size=9)
    pdf.multi_cell(0, 4.8, readme(certificate), new_x="LMARGIN", new_y="NEXT")
    for attachment in attachments:
        pdf.embed_file(bytes=attachment.content, basename=attachment.name, modification_date=moment)
    return bytes(pdf.output())


def readme(certificate: Certificate) -> str:
    """Return how to check the attached files without this certificate."""
    papers = certificate.papers
    document, proof, policy = (
        shlex.quote(name) for name in (papers.document, papers.proof.name, papers.policy.name)
    )
    lines = [
        "本证书所附文件可用任何 PDF 阅读器取出（pdfdetach -saveall），不信任出证机构也能核验：",
        "Take the attached files out with any PDF reader (pdfdetach -saveall); they can be checked without trusting whoever issued this:",
        "",
        f"sha256sum {document}",
        f"chainnode verify {document} {proof} --policy {policy}",
        *token_commands(papers),
        "",
        "验证策略（policy）决定谁的签名算数：请与可信来源的比较。",
        "The policy decides whose signatures count: compare it with one from a source that you trust.",
        "",
        f"root {papers.verdict.checkpoint.root.hex()}",
        *(f"cosigned {c.label}" for c in papers.verdict.cosigners),
    ]
    return "\n".join(lines) + "\n"


def _rows(certificate: Certificate, address: str) -> list[tuple[str, str]]:
    papers = certificate.papers
    record, verdict = papers.notarization.record, papers.verdict
    rows = [
        ("证书编号 number", f"{verdict.checkpoint.origin} {verdict.index}"),
        ("存证编号 record", f"{record.tx_id.hex()}-{record.call}-{record.item}"),
        ("存证主体 account (脱敏 masked)", masked(record.account)),
        ("文件名称 document", papers.document),
        ("文件大小 size", f"{certificate.size_bytes} bytes, {certificate.media_type}"),
        *((d.algorithm.upper(), d.value.hex()) for d in papers.notarization.opening.digests),
        (
            "提交时间 submitted",
            f"不晚于 {utc(record.not_after_ms)}，确切时刻无从证明 no later than that; nobody attests the exact time",
        ),
        ("上链时间 block time", utc(record.time_ms)),
        (
            "认证时间区间 certified interval",
            f"{utc(record.not_before_ms)} .. {utc(record.not_after_ms)}",
        ),
    ]
    if certificate.token is not None:
        token = certificate.token
        rows.append(("时间戳 timestamp", f"{utc(token.time_ms)}, {token.serial_text}"))
    return [
        *rows,
        ("链 chain", verdict.checkpoint.origin),
        ("区块高度 block", str(record.height)),
        *(
            (("区块哈希 block hash", certificate.block_hash.hex()),)
            if certificate.block_hash is not None
            else ()
        ),
        ("日志 log", f"{verdict.index} / {verdict.checkpoint.size}"),
        (
            "见证节点 cosigned by",
            f"{len(verdict.cosigners)} (≥ {certificate.needed}): "
            + ", ".join(c.label for c in verdict.cosigners),
        ),
        ("出证机构 issued by", certificate.issuer),
        ("出证时间 issued", utc(certificate.now_ms)),
        ("核验地址 check at", address),
    ]


def masked(account: str) -> str:
    """Return an account as paper shows it that goes from hand to hand: its organisation, and how its name begins."""
    organisation, _, name = account.partition("/")
    return f"{organisation}/{name[:1]}***"


def _row(pdf: FPDF, label: str, value: str, *, width: int) -> None:
    pdf.set_font("cjk", size=8)
    pdf.cell(0, 4, label, new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("cjk", size=10)
    pdf.multi_cell(width, 5.2, value, new_x="LMARGIN", new_y="NEXT", wrapmode=WrapMode.CHAR)
    pdf.ln(1.4)
