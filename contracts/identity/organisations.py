"""Members of the alliance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model import codec
from chainnode.model.ids import check_name
from chainnode.model.limits import MAX_NAME_BYTES, MAX_TITLE_BYTES
from chainnode.model.roles import Role
from contracts.api import ContractError
from contracts.identity.directory import Directory
from contracts.identity.records import OrganisationRecord

if TYPE_CHECKING:
    from chainnode.model.codec import Value
    from contracts.api import Context


def register_organisation(context: Context, args: tuple[Value, ...]) -> None:
    """Admit a member: `[name, title]`. Takes the role `admin`.

    Raises:
        ContractError: `missing_role`, `name_taken`.
        DecodeError: an argument has another shape, `bad_name`.
    """
    context.require_role(Role.ADMIN)
    name_value, title_value = codec.array(args, "args", arity=2)
    name = codec.text(name_value, "name", most_bytes=MAX_NAME_BYTES)
    check_name(name, "name")
    title = codec.text(title_value, "title", most_bytes=MAX_TITLE_BYTES)
    directory = Directory(context)
    if directory.has_organisation(name):
        raise ContractError(
            f"there is an organisation {name} already", code="name_taken", field="name"
        )
    directory.put_organisation(name, OrganisationRecord(title=title))
    directory.record("organisation-registered", name, title)
