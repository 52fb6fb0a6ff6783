"""The report of `archive check`: for programs as JSON, for people as Markdown in Chinese and English."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cli.archive.check import FAILED, MAX_FINDINGS, NOT_SHOWN, PASSED, Check
from cli.output import time_text, visible

if TYPE_CHECKING:
    from pathlib import Path

_WORDS: Final = {PASSED: "passed 通过", FAILED: "failed 未通过", NOT_SHOWN: "not shown 无法证明"}
_EXAMINED: Final = {
    "authentic": (
        "documents whose evidence records or proofs were verified with the policy and roots given",
        "以给定验证策略与根证书核验了证据记录或证明的文件数",
    ),
    "complete": (
        "files compared with manifests by SHA-256, SHA-512 and, for documents, SM3; and their number",
        "按清单比对 SHA-256、SHA-512 (文件另比对 SM3) 的文件数, 并核对总数",
    ),
    "usable": (
        "documents of known kinds looked at: PDF, OFD, Office, images and ZIP by their first bytes, text by its encoding",
        "已知格式中经检查的文件数: PDF、OFD、Office、图像、ZIP 按首部字节, 文本按编码",
    ),
    "safe": (
        "documents looked at for links out of the bag and for programs by their first bytes",
        "经检查有无包外链接、首部是否为程序的文件数",
    ),
}
_NOT_CHECKED: Final = {
    "authentic": (
        "whether what a document says is true, who made it, and whether it was genuine before its first timestamp",
        "内容是否属实、由谁形成、首个时间戳之前是否真实",
    ),
    "complete": (
        "whether the bag holds all that belongs to the matter",
        "本包是否收齐了该事项的全部文件及著录项",
    ),
    "usable": (
        "whether a person can open and read a document, its fonts and its layout",
        "文件能否打开阅读, 字体与版面是否完好",
    ),
    "safe": (
        "malware (no scanner runs here), media, networks and who has access",
        "恶意代码 (此处不运行杀毒软件)、载体、网络环境及访问权限",
    ),
}


def report_document(bag: Path, checks: tuple[Check, ...], now_ms: int) -> dict[str, Any]:
    """Return the report as JSON has it; `passed` is whether no check failed and none was left open."""
    return {
        "format": "chainnode-archive-check/1",
        "bag": str(bag),
        "checked_ms": now_ms,
        "passed": all(check.result == PASSED for check in checks),
        "checks": [
            {
                "name": check.name,
                "chinese": check.chinese,
                "result": check.result,
                "examined": check.examined,
                "examined_what": _EXAMINED[check.name][0],
                "examined_what_chinese": _EXAMINED[check.name][1],
                "failures": check.failures[:MAX_FINDINGS],
                "failure_count": len(check.failures),
                "not_shown": check.unknown[:MAX_FINDINGS],
                "not_shown_count": len(check.unknown),
                "notes": check.notes[:MAX_FINDINGS],
                "note_count": len(check.notes),
                "not_checked": _NOT_CHECKED[check.name][0],
                "not_checked_chinese": _NOT_CHECKED[check.name][1],
            }
            for check in checks
        ],
    }


def summary(check: Check) -> str:
    """Return how a check ended, in a line."""
    counts = (
        (len(check.failures), "wrong"),
        (len(check.unknown), "not shown"),
        (len(check.notes), "shown by less"),
    )
    found = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"{_WORDS[check.result]}; {check.examined} examined" + (f", {found}" if found else "")


def report_text(bag: Path, checks: tuple[Check, ...], now_ms: int) -> str:
    """Return the report as Markdown."""
    parts = [
        f"# Four checks of {bag.name} 四性检测报告 (DA/T 70)",
        "",
        f"Checked 检测时间: {time_text(now_ms)}",
        "",
    ]
    for check in checks:
        examined, chinese = _EXAMINED[check.name]
        by_hand, by_hand_chinese = _NOT_CHECKED[check.name]
        parts += [
            f"## {check.chinese} {check.name}: {_WORDS[check.result]}",
            "",
            f"- Examined 检测内容: {check.examined} {examined}; {chinese}",
            f"- Wrong 不符: {len(check.failures)}",
            *(f"  - {finding}" for finding in check.failures[:MAX_FINDINGS]),
            f"- Not shown 无法证明: {len(check.unknown)}",
            *(f"  - {finding}" for finding in check.unknown[:MAX_FINDINGS]),
            *([f"- Shown by less 依据较少: {len(check.notes)}"] if check.notes else []),
            *(f"  - {finding}" for finding in check.notes[:MAX_FINDINGS]),
            f"- No machine checked 需人工判断: {by_hand}; {by_hand_chinese}",
            "",
        ]
    return visible("\n".join(parts))
