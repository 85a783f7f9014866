"""What takes in intent, put together: declarations, retirements, kills, parked tasks, and what takes two people."""

from __future__ import annotations

from typing import Any

from gateway.adapters.postgres.approval import PostgresApprovals
from gateway.adapters.postgres.database import Database
from gateway.adapters.postgres.decommission import PostgresDecommission
from gateway.adapters.postgres.desired import PostgresDesired
from gateway.adapters.postgres.parked import PostgresParked
from gateway.domain.fuse import Fuse
from gateway.flow.approval import ApprovalFlow, SecondPerson, Subject
from gateway.flow.decommission import DecommissionRegion
from gateway.flow.desired import DeclarationFlow
from gateway.flow.parked import ParkedTasks
from gateway.flow.removal import ApproveRemoval
from gateway.flow.restore import RestoreTenant
from gateway.ports.policy import Policy
from gateway.ports.store import TaskStore
from gateway.settings import GatewaySettings
from gateway.times import new_correlation_id


def make_desired(settings: GatewaySettings, database: Database) -> DeclarationFlow:
    """Declarations, retirements and kills, with what one person may take away."""
    flow = settings.flow
    fuse = Fuse(flow.fuse_share, flow.fuse_least, flow.approval_seconds)
    return DeclarationFlow(PostgresDesired(database, settings.name), new_correlation_id, fuse)


def make_approvals(
    settings: GatewaySettings,
    database: Database,
    policy: Policy,
    denials: TaskStore,
) -> ApprovalFlow:
    """What takes two people."""
    desired = PostgresDesired(database, settings.name)
    subjects: dict[str, Subject[Any]] = {
        "restoration": RestoreTenant(desired),
        "decommission": DecommissionRegion(PostgresDecommission(database, settings.name)),
        "removal": ApproveRemoval(desired),
    }
    second_person = SecondPerson(policy, denials, settings.name)
    seconds = settings.flow.approval_seconds
    return ApprovalFlow(
        store=PostgresApprovals(database),
        subjects=subjects,
        second_person=second_person,
        new_correlation_id=new_correlation_id,
        seconds=seconds,
    )


def make_parked(settings: GatewaySettings, database: Database) -> ParkedTasks:
    """What people may do about tasks that keep failing."""
    return ParkedTasks(PostgresParked(database, settings.name), new_correlation_id)
