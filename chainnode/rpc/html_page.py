"""Web pages for people: Chinese and English side by side, readable without scripts, with nothing from elsewhere.

A page names by their hashes the one style and the one script that it may use, and forbids all else, so a browser that
shows it asks nobody for anything. Colours have a contrast of at least 7 to 1 (WCAG 2.2, 1.4.6).
"""

from __future__ import annotations

import base64
import hashlib
import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.logs import utc, utc_second

if TYPE_CHECKING:
    from collections.abc import Sequence

_STYLE: Final = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 56rem; padding: 1.5rem; background: #fff; color: #1a1a1a;
  font: 1rem/1.6 "Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "Microsoft YaHei", "PingFang SC", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.3; } h2 { font-size: 1.2rem; margin-top: 2rem; }
[lang=en] { margin-left: .5em; }
dl { display: grid; grid-template-columns: minmax(9rem, 14rem) 1fr; gap: .4rem 1rem; }
dt { font-weight: bold; } dd { margin: 0; overflow-wrap: anywhere; }
code, pre { font: .9rem/1.5 "DejaVu Sans Mono", Menlo, Consolas, monospace; background: #f2f2f2; }
pre { padding: .8rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
a { color: #003f7d; } a:focus-visible, input:focus-visible, summary:focus-visible { outline: 3px solid #003f7d; outline-offset: 2px; }
.drop { border: 2px dashed #444; padding: 1.5rem; } .drop input { display: block; margin-top: .8rem; font: inherit; }
.good, .bad, .open { border-left: .5rem solid; padding: .4rem 1rem; }
.good { border-color: #0b5d1e; color: #0b4f1a; } .bad { border-color: #8c1010; color: #7d0e0e; } .open { border-color: #6b4a00; color: #553b00; }
@media (max-width: 36rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .6rem; } }
@media print { body { max-width: none; padding: 0; } .drop { display: none; } }
"""

_LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999, where calendars end."""


@dataclass(frozen=True, slots=True)
class Words:
    """The same in both languages; plain text."""

    zh: str
    en: str

    def html(self) -> str:
        """Return both, each marked with its language, for screen readers."""
        return (
            f'<span lang="zh-Hans">{html.escape(self.zh)}</span>'
            f'<span lang="en">{html.escape(self.en)}</span>'
        )


Row = tuple[Words, str]
"""A label, and its value as HTML."""


def fields(rows: Sequence[Row]) -> str:
    """Return labels and values as a list of definitions."""
    inner = "".join(f"<dt>{label.html()}</dt><dd>{value}</dd>" for label, value in rows)
    return f"<dl>{inner}</dl>"


def code(text: str) -> str:
    """Return text that is to be compared letter by letter."""
    return f"<code>{html.escape(text)}</code>"


def own_words(text: str) -> str:
    """Return text that somebody chose freely; whatever direction it is written in, it ends where it ends."""
    return f"<bdi>{html.escape(text)}</bdi>"


def time_html(time_ms: int) -> str:
    """Return a time, UTC; a record may name any, so what no calendar has stays a number."""
    if time_ms > _LAST_MS:
        return f"{time_ms} ms"
    return _time_html(utc(time_ms))


def second_html(time_s: int) -> str:
    """Return a time that is known to the second, as `time_html`; a cosigner may name any."""
    return f"{time_s} s" if time_s > _LAST_MS // 1_000 else _time_html(utc_second(time_s))


def _time_html(text: str) -> str:
    return f'<time datetime="{text}">{text}</time>'


def security_policy(script: str = "") -> str:
    """Return the Content-Security-Policy of a page: its own style and script, and nothing else.

    In a header, `frame-ancestors 'none'` belongs behind it; a page itself cannot say that.
    """
    scripts = f"script-src {_source(script)}; " if script else ""
    return (
        f"default-src 'none'; {scripts}style-src {_source(_STYLE)}; "
        "base-uri 'none'; form-action 'none'"
    )


def page(title: Words, body: str, *, script: str = "") -> str:
    """Return a whole page.

    Args:
        title: Its heading.
        body: What follows the heading, as HTML.
        script: JavaScript at its end; it holds no `</script`.
    """
    heading = f"{title.zh} · {title.en}"
    return (
        '<!DOCTYPE html>\n<html lang="zh-Hans">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{security_policy(script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{html.escape(heading)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{title.html()}</h1>\n{body}\n</main>\n"
        + (f"<script>{script}</script>\n" if script else "")
        + "</body>\n</html>\n"
    )


def _source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
