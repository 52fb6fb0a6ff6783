"""Members of the alliance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model import codec
from chainnode.model.ids import check_name
from chainnode.model.limits import MAX_NAME_BYTES, MAX_TITLE_BYTES
from chainnode.model.roles import Role
from contracts.api import ContractError
from contracts.identity.records import OrganisationRecord, organisation_key

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from contracts.api import Context

KIND = "identity"
"""Kind of the records of this contract."""


def register_organisation(context: Context, args: tuple[Value, ...]) -> None:
    """Admit a member: `[name, title]`. For an `admin`."""
    context.require_role(Role.ADMIN)
    name_value, title_value = codec.array(args, "args", arity=2)
    name = codec.text(name_value, "name", most_bytes=MAX_NAME_BYTES)
    check_name(name, "name")
    title = codec.text(title_value, "title", most_bytes=MAX_TITLE_BYTES)
    key = organisation_key(name)
    if context.state.get(key) is not None:
        raise ContractError(f"there is an organisation {name} already", code="name_taken")
    context.state.put(key, OrganisationRecord(title=title).encode())
    context.emit(
        KIND, ("organisation-registered", name, title), (b"organisation/" + name.encode(),)
    )
