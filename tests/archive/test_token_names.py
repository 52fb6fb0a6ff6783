"""Tokens of an archive are found under their numbers, as they are named now and as they were."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cli.archive.tokens import proof_of, token_file
from cli.proofs import SUFFIX

TOKEN = SimpleNamespace(serial_text="01" + "ab" * 19)


@pytest.mark.parametrize("has_zero", [True, False])
def test_a_proof_is_found_with_and_without_the_leading_zero(tmp_path, has_zero):
    assert proof_of(tmp_path, TOKEN) is None
    name = token_file(tmp_path, TOKEN).name
    proof = tmp_path / ((name if has_zero else name.lstrip("0")) + SUFFIX)
    proof.write_bytes(b"")
    assert proof_of(tmp_path, TOKEN) == proof
