"""What lies in a validator's home: genesis, keys, and who we are in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.keystore.keystore import KeyStore
from chainnode.model.errors import DecodeError, NotFound, Refused, StorageFault
from chainnode.model.genesis import decode_genesis
from chainnode.model.keys import KeyPurpose
from chainnode.model.limits import MAX_GENESIS_BYTES
from chainnode.model.suites import ML_DSA_44
from chainnode.model.tlog_policy import MAX_POLICY_BYTES, Policy, parse_policy
from chainnode.services.witness import MAX_WITNESSED_LOGS, WitnessService

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chainnode.clock import Clock
    from chainnode.config import NodeConfig
    from chainnode.keystore.signer import Signer
    from chainnode.logs import Log
    from chainnode.model.genesis import Genesis, GenesisValidator


WITNESS_FOLDER: Final = "witness"
"""In the home: what each witness key has cosigned last of each log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signers:
    """The three signers of a validator, each for one purpose."""

    consensus: Signer
    cosigner: Signer
    log: Signer


def open_witness(
    config: NodeConfig, passphrase: bytes, clock: Clock, log: Log
) -> WitnessService | None:
    """Return what witnesses other logs, or None if this node does not.

    Raises:
        ChainError: key or policies are missing or do not fit together.
        StorageFault: what an earlier run kept is damaged.
    """
    witness = config.witness
    if witness is None:
        return None
    try:
        signer = KeyStore(config.home / "keys").open(witness.key, passphrase)
    except NotFound as error:
        raise Refused(
            f"{error.message}; make it with `chainnode keys new {witness.key} --purpose witness`",
            code="no_key",
            field="witness.key",
        ) from error
    return WitnessService(
        name=witness.name,
        signer=signer,
        policies=read_policies(witness.logs),
        directory=config.home / WITNESS_FOLDER / witness.key,
        clock=clock,
        log=log,
    )


def open_second_signer(config: NodeConfig, passphrase: bytes) -> Signer | None:
    """Open the key with which this validator cosigns a second time, or return None if there is to be none.

    Raises:
        ChainError: it is missing, of another kind, the passphrase is wrong, or this installation cannot use it.
    """
    name = config.second_key
    if name is None:
        return None
    advice = f"`chainnode keys new {name} --purpose cosigner --suite {ML_DSA_44}`"
    try:
        signer = KeyStore(config.home / "keys").open(name, passphrase)
    except NotFound as error:
        raise Refused(
            f"{error.message}; make it with {advice}", code="no_key", field="node.second_key"
        ) from error
    if signer.purpose is not KeyPurpose.COSIGNER or signer.suite.name != ML_DSA_44:
        raise Refused(
            f"node.second_key: {name} is a {signer.suite.name} key of purpose {signer.purpose}; expected one made with "
            f"{advice}",
            code="wrong_purpose",
            field="node.second_key",
        )
    return signer


def read_policy_file(path: Path) -> Policy:
    """Return the policy in a file of the home.

    Raises:
        Refused: with code `no_policy`: there is no such file.
        DecodeError: it is no policy.
        StorageFault: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return parse_policy(file.read(MAX_POLICY_BYTES + 1))
    except FileNotFoundError as error:
        raise Refused(
            f"{path} does not exist; put the policy there, or leave the setting that names it empty",
            code="no_policy",
        ) from error
    except OSError as error:
        raise StorageFault(f"{path} cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise DecodeError(f"{path}: {error.message}", code=error.error_code) from error


def read_policies(folder: Path) -> tuple[Policy, ...]:
    """Return the policies `*.policy` of a folder, by name.

    Raises:
        Refused: with code `no_policy`: there is none.
        DecodeError: one is no policy.
        StorageFault: one cannot be read.
    """
    paths = sorted(folder.glob("*.policy"))[: MAX_WITNESSED_LOGS + 1]
    found = tuple(read_policy_file(path) for path in paths)
    if not found:
        raise Refused(
            f"there is no policy {folder}/NAME.policy; put the policy of a log that is to be witnessed "
            "there, or leave witness.key empty",
            code="no_policy",
            field="witness.logs",
        )
    return found


def read_genesis(home: Path) -> Genesis:
    """Return the genesis of a home.

    Raises:
        Refused: there is none.
        DecodeError: it is not one.
    """
    path = home / "genesis"
    try:
        with path.open("rb") as file:
            data = file.read(MAX_GENESIS_BYTES + 1)
    except FileNotFoundError as error:
        raise Refused(
            f"{path} does not exist; put the alliance's genesis there "
            "(`chainnode genesis assemble` makes it from the members' files)",
            code="no_genesis",
        ) from error
    except OSError as error:
        raise StorageFault(f"{path} cannot be read: {error}") from error
    try:
        return decode_genesis(data)
    except DecodeError as error:
        raise DecodeError(
            f"{path}: {error.message}; put the alliance's genesis there again, every member has the same",
            code=error.error_code,
            field=error.field,
        ) from error


def own_validator(genesis: Genesis, name: str) -> GenesisValidator:
    """Return the validator that this home is of.

    Raises:
        Refused: genesis knows none of that name.
    """
    found = next((v for v in genesis.validators if v.name == name), None)
    if found is None:
        names = ", ".join(v.name for v in genesis.validators)
        raise Refused(
            f"validator {name!r} is not in this genesis; its validators are {names}",
            code="unknown_validator",
            field="validator",
        )
    return found


def open_signers(home: Path, own: GenesisValidator, passphrase: bytes) -> Signers:
    """Open the keys of a validator's home and compare them with genesis.

    Raises:
        ChainError: a key is missing, of another purpose, not the one in genesis, or the passphrase is wrong.
    """
    keys = KeyStore(home / "keys")

    def signer(purpose: KeyPurpose, expected: bytes) -> Signer:
        try:
            opened = keys.open(purpose.value, passphrase)
        except NotFound as error:
            # A home that is not whole is refused like any other that does not allow a start.
            raise Refused(
                f"{error.message}; restore the keys of this home from its backup", code="no_key"
            ) from error
        if opened.purpose != purpose:
            raise Refused(
                f"the key {purpose.value!r} is of purpose {opened.purpose}; expected {purpose}",
                code="wrong_purpose",
            )
        if opened.public_key != expected:
            raise Refused(
                f"the {purpose.value} key of this home is not the one that genesis names for "
                f"{own.name}; use the home whose public file went into this genesis",
                code="other_key",
            )
        return opened

    return Signers(
        consensus=signer(KeyPurpose.CONSENSUS, own.consensus_key),
        cosigner=signer(KeyPurpose.COSIGNER, own.cosigner_key),
        log=signer(KeyPurpose.LOG, own.log_key),
    )


def open_account_signers(
    home: Path, public_keys: Sequence[bytes], passphrase: bytes
) -> tuple[Signer, ...]:
    """Open those account keys in a home that are among `public_keys`; other keys stay closed.

    Raises:
        ChainError: a key file is damaged, or the passphrase is wrong.
    """
    keys = KeyStore(home / "keys")
    return tuple(
        keys.open(info.name, passphrase)
        for info in keys.list()
        if info.purpose is KeyPurpose.ACCOUNT and info.public_key in public_keys
    )
