"""Many JSON texts in few WebSocket messages: what makes a thousand small requests a second cheap on both sides."""

from __future__ import annotations

from chainnode.rpc.limits import MAX_BATCH, MAX_BODY_BYTES


def packed(texts: list[str]) -> list[str]:
    """Return JSON texts as few messages: arrays of at most 100 texts and about 1 MiB."""
    messages: list[str] = []
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == MAX_BATCH or size + len(text) > MAX_BODY_BYTES // 2):
            messages.append(_array(batch))
            batch, size = [], 0
        batch.append(text)
        size += len(text) + 1
    if batch:
        messages.append(_array(batch))
    return messages


def _array(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"[{','.join(texts)}]"
