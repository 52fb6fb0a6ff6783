"""Golden vectors: files in tests/golden that pin bytes. A change in one is a change of a format.

`UPDATE_GOLDEN=1 pytest <test>` writes them anew; nothing else does.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chainnode.model.codec import Value

_FOLDER = Path(__file__).parents[1] / "golden"


def is_updating() -> bool:
    """Whether vectors are to be written rather than compared."""
    return os.environ.get("UPDATE_GOLDEN") == "1"


def load_golden(name: str) -> dict[str, Any]:
    """Return the vectors of a file, of which there are none before it is first written."""
    path = _FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def check_golden(name: str, vectors: Mapping[str, Any]) -> None:
    """Compare with the file, one vector after the other."""
    if is_updating():
        text = json.dumps(vectors, indent=1, ensure_ascii=False)
        (_FOLDER / f"{name}.json").write_text(text + "\n")
    recorded = load_golden(name)
    assert list(recorded) == list(vectors)
    for key, vector in vectors.items():
        assert recorded[key] == vector, key


def recorded_bytes(
    name: str, key: str, make: Callable[[], bytes], is_good: Callable[[bytes], bool]
) -> bytes:
    """Return recorded bytes that are random by nature; make them only if the file is being written."""
    found = bytes.fromhex(load_golden(name).get(key, ""))
    return make() if is_updating() and not is_good(found) else found


def as_json(value: Value) -> Any:
    """Show a canonical value in JSON: bytes as `hex:...`, arrays as lists."""
    if isinstance(value, bytes):
        return f"hex:{value.hex()}"
    if isinstance(value, tuple):
        return [as_json(element) for element in value]
    return value
