"""How the files are called that notarizing a folder makes; none of them is ever taken for a document."""

from __future__ import annotations

import hashlib
import os
from typing import Final

from cli.proofs import SUFFIX

MANIFEST_NAME: Final = "chainnode-manifest.json"
SUMS_NAME: Final = "chainnode-manifest.sha256"
JOURNAL_FOLDER: Final = ".chainnode-folder"
UNFINISHED: Final = ".chainnode-unfinished-"
"""What a file begins with that is still being written; a crash may leave some, and the next run writes over them."""

MAX_NAME_BYTES: Final = 255
"""A file's name on the file systems of Linux."""


def is_ours(name: str) -> bool:
    """Whether a file or folder of that name is made by notarizing, so that it is no document."""
    return (
        name.endswith(SUFFIX)
        or name in {MANIFEST_NAME, SUMS_NAME, JOURNAL_FOLDER}
        or name.startswith(UNFINISHED)
    )


def proof_name(path: str) -> str:
    """Return what the proof of a file is called."""
    return path + SUFFIX


def unfinished_name(name: str) -> str:
    """Return what a file is called while it is written: no other file of its folder is, and it is in every run.

    A digest of its name, since that may be as long as names can be already.
    """
    return UNFINISHED + hashlib.sha256(os.fsencode(name)).hexdigest()[:32]


def fits(name: str) -> bool:
    """Whether the proof of a file of that name can have its name."""
    return len(os.fsencode(proof_name(name))) <= MAX_NAME_BYTES
