"""A report as Markdown that is also plain text, in Chinese and English."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.output import time_text, visible
from cli.report.checks import Result
from cli.report.words import RESULTS, WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.report.checks import Check, Examined

_SCOPE = (
    "Nothing here shows that what the document says is true, who wrote it, or that it was lawfully acquired. The policy is "
    "the reader's trust: it must come from a source that the reader trusts, not from whoever hands over the proof."
)


def page(
    examined: Examined, files: Sequence[tuple[str, str, str]], *, now_ms: int, version: str
) -> str:
    """Return the report.

    Args:
        examined: What was found.
        files: (what it is, name, SHA-256 in hex) of every file that was read.
        now_ms: When, by this machine's clock.
        version: Of this program.
    """
    record, proof = examined.notarization.record, examined.proof
    lines = [
        "# 技术核验报告 Technical verification report",
        "",
        f"结论 Conclusion: **{RESULTS[conclusion(examined)]}**",
        "",
        *_summary(examined),
        "",
        f"核验时间 Made at {time_text(now_ms)} by this machine's clock, offline, with chainnode {version}.",
        "",
        "## 检材 Files examined",
        "",
        *(f"- {what}: `{_code(name)}`, SHA-256 `{digest}`" for what, name, digest in files),
        "",
        "## 记录 What the record says",
        "",
        f"- 账户 account: `{_code(record.account)}`",
        f"- 区块 block: {record.height}, 时间 time {time_text(record.time_ms)}",
        f"- 认证时间区间 certified interval: {time_text(record.not_before_ms)} .. {time_text(record.not_after_ms)}",
        "  文件至迟于后一时间已经存在；可能更早。 The document existed by the later time; it may be older than the earlier one.",
        f"- 交易 transaction: `{record.tx_id.hex()}` call {record.call} item {record.item}",
        f"- 日志 log: `{_code(proof.checkpoint.origin)}` index {proof.index}",
        "",
        "These statements count only if the first four checks hold. 以上内容仅在前四项核验均成立时有效。",
    ]
    for number, check in enumerate(examined.checks, start=1):
        lines += ["", *_section(number, check)]
    lines += [
        "",
        "## 范围 What is not proven",
        "",
        _SCOPE,
        "",
        "本报告不证明文件内容真实、作者身份或取得方式合法。验证策略须来自可信来源，而非提交证明的一方。",
        "",
        "The scripts need `sh` and OpenSSL 3; run them in a folder with the files. What must be printed stands behind `#`.",
    ]
    return "\n".join(lines) + "\n"


def conclusion(examined: Examined) -> Result:
    """Return what all checks come to: one that fails counts most, one that was not made nothing."""
    results = {check.result for check in examined.checks}
    for worst in (Result.FAILS, Result.CANNOT_TELL):
        if worst in results:
            return worst
    return Result.HOLDS


def _summary(examined: Examined) -> list[str]:
    rows = ["| # | 核验项 Check | 结果 Result |", "| --- | --- | --- |"]
    for number, check in enumerate(examined.checks, start=1):
        words = WORDS[check.name]
        rows.append(f"| {number} | {words.title_zh} {words.title} | {RESULTS[check.result]} |")
    return rows


def _section(number: int, check: Check) -> list[str]:
    words = WORDS[check.name]
    lines = [
        f"## {number}. {words.title_zh} {words.title}",
        "",
        f"- 核验内容 Examined: {words.examined}. {words.examined_zh}。",
        f"- 方法与标准 Method: {words.method}.",
        f"- 结果 Result: **{RESULTS[check.result]}**"
        + (f" (`{check.code}`)" if check.code else ""),
        f"- 所见 Found: {_line(check.found)}",
    ]
    if check.repeat:
        lines += ["- 复核 Repeat it with:", "", "```sh", check.repeat, "```"]
    elif words.otherwise:
        lines.append(f"- 复核 Repeat it with: {words.otherwise}.")
    return lines


def _line(text: str) -> str:
    """Return text that stays on its line: others than we choose the names of files and accounts."""
    return " ".join(visible(text).split())


def _code(text: str) -> str:
    """Return what can stand between backticks."""
    return _line(text).replace("`", "'")
