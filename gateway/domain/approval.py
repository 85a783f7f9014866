"""Requests that take two people: their kinds, and what each asks for in words."""

from __future__ import annotations

from orbital.v1.approval_pb2 import Approval, ApprovalState

OPEN = ApprovalState.APPROVAL_STATE_OPEN
APPROVED = ApprovalState.APPROVAL_STATE_APPROVED
DECLINED = ApprovalState.APPROVAL_STATE_DECLINED
KINDS = tuple(field.name for field in Approval.DESCRIPTOR.oneofs_by_name["action"].fields)


def kind_of(found: Approval) -> str:
    """The kind of a request: restoration, decommission or removal."""
    return str(found.WhichOneof("action"))


def asked_for(found: Approval) -> str:
    """What is asked for, as one says it after "to"."""
    if found.HasField("removal"):
        removal = found.removal
        if removal.change == "retire":
            return f"retire {removal.removed} of {removal.total} resources of {found.subject}"
        return f"take {removal.removed} of {removal.total} placements of {found.subject} out of their regions"
    verb = "restore" if found.HasField("restoration") else "decommission"
    return f"{verb} {found.subject.rpartition('/')[2]}"


def change_of(found: Approval) -> str:
    """The name of the change that an approval makes."""
    return found.removal.change if found.HasField("removal") else asked_for(found)
