"""Both SM2 backends, for tests that must say the same of each."""

from __future__ import annotations

import os
import shutil

import pytest

from chainnode.model.suites import gmssl, libcrypto
from chainnode.model.suites.sm2_sm3 import Sm2Sm3

SUITES = {
    name: Sm2Sm3(backend)
    for name, backend in (("libcrypto", libcrypto.load()), ("gmssl", gmssl.load()))
    if backend is not None
}
"""The suite over each backend that this machine has."""


def need(reason: str, *, present: bool) -> None:
    """Skip with `reason` on a machine that lacks something; in continuous integration, fail."""
    if not present:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def suite_over(backend: str) -> Sm2Sm3:
    """Return the suite over the named backend, or skip."""
    need(f"no SM2 backend {backend} on this machine", present=backend in SUITES)
    return SUITES[backend]


def openssl() -> str:
    """Return the path of the openssl program, or skip."""
    path = shutil.which("openssl")
    need("the openssl program is not installed", present=path is not None)
    assert path is not None
    return path
