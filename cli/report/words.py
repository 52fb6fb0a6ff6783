"""What a report says of each check in every case: its name, what it examines, by which method and standard."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from cli.report.checks import Result

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One check for people."""

    title: str
    title_zh: str
    examined: str
    examined_zh: str
    method: str
    """With the standard."""

    otherwise: str = ""
    """How to repeat it where there is no script."""


WORDS: Final[Mapping[str, Words]] = MappingProxyType(
    {
        "digests": Words(
            title="Document digests",
            title_zh="文件摘要",
            examined="whether the file is, bit for bit, the one that the record is about",
            examined_zh="文件与记录所指文件是否逐位一致",
            method="SHA-2 (FIPS 180-4), SM3 (GB/T 32905), over the whole file",
        ),
        "commitment": Words(
            title="Commitment",
            title_zh="承诺",
            examined="whether the record in the log was made about these digests",
            examined_zh="日志中的记录是否针对上述摘要",
            method="HMAC (RFC 2104) over canonical MessagePack of the digests, under the proof's salt",
        ),
        "inclusion": Words(
            title="Inclusion in the log",
            title_zh="日志包含证明",
            examined="whether the record stands in the log whose root the checkpoint names",
            examined_zh="记录是否位于检查点所示根的日志之中",
            method="Merkle inclusion proof, RFC 9162 section 2.1.3.2",
        ),
        "cosignatures": Words(
            title="Cosignatures",
            title_zh="见证签名",
            examined="whether a quorum of the validators that the policy names signed that checkpoint",
            examined_zh="策略所列验证节点是否有法定多数签署该检查点",
            method="C2SP tlog-checkpoint, tlog-cosignature and tlog-policy; Ed25519 (RFC 8032), SM2 (GB/T 32918) or ML-DSA-44 (FIPS 204)",
            otherwise="any implementation of C2SP tlog-proof and tlog-policy with this suite's signatures; docs/formats/log-and-proofs.md has both",
        ),
        "token": Words(
            title="Timestamp token: signature",
            title_zh="时间戳令牌签名",
            examined="whether the token is about the file and signed by the unit that it names",
            examined_zh="令牌是否针对该文件，并由其所称时间戳单元签名",
            method="RFC 3161, RFC 5816, CMS (RFC 5652); with --root the certificate path too (RFC 5280), by the lists of --crl",
        ),
        "token-record": Words(
            title="Timestamp token: record",
            title_zh="时间戳令牌的记录",
            examined="whether the chain issued the token, which a stolen key cannot bring about",
            examined_zh="令牌是否由联盟链签发（被盗密钥无法做到）",
            method="the record that the serial number names: commitment, inclusion and cosignatures as above",
            otherwise="`chainnode timestamp verify FILE FILE.tsr --policy POLICY`; inclusion and cosignatures of FILE.tsr.tlog-proof as above",
        ),
        "context": Words(
            title="Capture record",
            title_zh="取证记录",
            examined="whether this statement of circumstances was registered with the document",
            examined_zh="该取证环境陈述是否与文件一并登记",
            method="hash of its RFC 8785 form, HMAC (RFC 2104) under the proof's salt",
        ),
        "marks": Words(
            title="Marks",
            title_zh="标记（撤回、更新）",
            examined="whether the record had been withdrawn or superseded as of a block",
            examined_zh="截至某区块，记录是否已撤回或被更新",
            method="proof of presence or absence in the state tree, under a header that the log names",
            otherwise="docs/formats/state-tree.md; `chainnode verify FILE PROOF --policy POLICY --marks MARKS`",
        ),
    }
)

RESULTS: Final[Mapping[Result, str]] = MappingProxyType(
    {
        Result.HOLDS: "成立 holds",
        Result.FAILS: "不成立 DOES NOT HOLD",
        Result.CANNOT_TELL: "无法判定 cannot tell",
        Result.NOT_EXAMINED: "未核验 not examined",
    }
)
