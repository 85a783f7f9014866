"""What `orbital get` can show: each noun with its way through the API, its columns and its fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from console.cli.failure import Exit, Failure
from console.cli.render import Column
from console.cli.suggest import did_you_mean, foreign, near

if TYPE_CHECKING:
    from console.cli.connection import Connection
    from console.cli.rows import Row

# The most that a page of the API has; of what is only kept for people to look at it is less.
PAGE, SHORT = 5_000, 1_000


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which rows are asked for; "" means all, and 0 rows at most as many as there are."""

    tenant: str = ""
    region: str = ""
    correlation_id: str = ""
    parked: bool = False
    limit: int = 0

    @property
    def page(self) -> int:
        """How many rows to ask for at once."""
        return min(self.limit or PAGE, PAGE)

    @property
    def short_page(self) -> int:
        """The same of what has shorter pages."""
        return min(self.page, SHORT)


@dataclass(frozen=True, slots=True)
class Noun:
    """One noun. `key` is the field that NAME is compared with, and what `-o name` prints.

    `hidden` are fields that tables may show and JSON leaves out.
    """

    name: str
    singular: str
    key: str
    columns: tuple[Column, ...]
    rows: Callable[[Connection, RowFilter], Iterator[Row]]
    filters: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    def fields(self, row: Row) -> list[str]:
        """The fields of JSON and YAML, in order."""
        return [name for name in row if name not in self.hidden]

    def matches(self, row: Row, name: str) -> bool:
        """True when NAME means this row: by its key, its whole resource name, or that name without the words."""
        resource = str(row.get("resource", ""))
        return name in {str(row[self.key]), resource, "/".join(resource.split("/")[1::2])}


def find(word: str) -> Noun:
    """The noun a person wrote, in the singular or plural; raises Failure with the nearest one."""
    wanted = word.casefold().replace("-", "").replace("_", "")
    for noun in NOUNS:
        if wanted in {noun.name, noun.singular}:
            return noun
    names = [noun.name for noun in NOUNS]
    hint = foreign(word) or did_you_mean(word, names) or f" Expected one of {', '.join(names)}."
    raise Failure(f'Unknown noun "{word}".{hint}', Exit.USAGE)


def named(noun: Noun, rows: list[Row], name: str) -> list[Row]:
    """The rows that NAME means; raises Failure with close names when there is none."""
    found = [row for row in rows if noun.matches(row, name)]
    if found:
        return found
    close = near(name, dict.fromkeys(str(row[noun.key]) for row in rows))
    hint = f" Close: {', '.join(close)}." if close else ""
    hint = foreign(name) + hint
    raise Failure(f'No {noun.singular} "{name}".{hint} List: orbital get {noun.name}', Exit.NOT_FOUND)


def _regions(connection: Connection, wanted: RowFilter) -> Iterator[Row]:
    from orbital.v1.registry_pb2 import ListRegionsRequest

    from console.cli import rows

    for answer in connection.pages(connection.registry.ListRegions, ListRegionsRequest(page_size=wanted.page)):
        yield from map(rows.region, answer.regions)


def _flags(connection: Connection, wanted: RowFilter) -> Iterator[Row]:
    from orbital.v1.registry_pb2 import ListFlagsRequest

    from console.cli import rows

    request = ListFlagsRequest(region=wanted.region, page_size=wanted.page)
    for answer in connection.pages(connection.registry.ListFlags, request):
        yield from map(rows.flag, answer.flags)


def _edges(connection: Connection, wanted: RowFilter) -> Iterator[Row]:
    from orbital.v1.registry_pb2 import ListEdgesRequest

    from console.cli import rows

    request = ListEdgesRequest(region=wanted.region, page_size=wanted.page)
    for answer in connection.pages(connection.registry.ListEdges, request):
        yield from map(rows.edge, answer.edges)


def _resources(word: str, connection: Connection, wanted: RowFilter) -> Iterator[Row]:
    from orbital.v1 import registry_pb2 as api

    from console.cli import rows

    request = api.ListResourcesRequest(
        kind=api.ResourceKind.Value(f"RESOURCE_KIND_{word.upper()}"), tenant=wanted.tenant, page_size=wanted.page
    )
    for answer in connection.pages(connection.registry.ListResources, request):
        yield from map(getattr(rows, word), answer.resources)


def _placements(connection: Connection, wanted: RowFilter) -> Iterator[Row]:
    from orbital.v1 import registry_pb2 as api

    from console.cli import rows

    request = api.ListPlacementsRequest(filter=placement_filter(wanted), page_size=wanted.page)
    for answer in connection.pages(connection.registry.ListPlacements, request):
        yield from map(rows.placement, answer.placements)


def placement_filter(wanted: RowFilter) -> Any:
    """The API's filter for what is wanted."""
    from orbital.v1.registry_pb2 import PlacementFilter

    return PlacementFilter(tenant=wanted.tenant, region=wanted.region, correlation_id=wanted.correlation_id)


def _tasks(connection: Connection, wanted: RowFilter) -> Iterator[Row]:
    from orbital.v1 import registry_pb2 as api

    from console.cli import rows

    if wanted.parked:
        yield from _parked(connection, wanted)
        return
    request = api.ListTasksRequest(
        tenant=wanted.tenant, region=wanted.region, correlation_id=wanted.correlation_id, page_size=wanted.page
    )
    for answer in connection.pages(connection.registry.ListTasks, request):
        yield from map(rows.task, answer.tasks)


def _parked(connection: Connection, wanted: RowFilter) -> Iterator[Row]:
    from orbital.v1.parked_pb2 import ListParkedTasksRequest

    from console.cli import rows

    request = ListParkedTasksRequest(tenant=wanted.tenant, region=wanted.region, page_size=wanted.page)
    for answer in connection.pages(connection.tasks.ListParkedTasks, request):
        for one in map(rows.task, answer.tasks):
            if wanted.correlation_id in ("", one["correlation_id"]):
                yield one


def _dead_letters(connection: Connection, wanted: RowFilter) -> Iterator[Row]:
    from orbital.v1.registry_pb2 import ListDeadLettersRequest

    from console.cli import judged

    request = ListDeadLettersRequest(page_size=wanted.short_page)
    for answer in connection.pages(connection.registry.ListDeadLetters, request):
        yield from map(judged.dead_letter, answer.dead_letters)


def _security_events(connection: Connection, wanted: RowFilter) -> Iterator[Row]:
    from orbital.v1.registry_pb2 import ListSecurityEventsRequest

    from console.cli import judged

    request = ListSecurityEventsRequest(page_size=wanted.short_page)
    for answer in connection.pages(connection.registry.ListSecurityEvents, request):
        yield from map(judged.security_event, answer.events)


def _denials(connection: Connection, wanted: RowFilter) -> Iterator[Row]:
    from orbital.v1.registry_pb2 import ListDenialsRequest

    from console.cli import judged

    request = ListDenialsRequest(page_size=wanted.short_page, correlation_id=wanted.correlation_id)
    for answer in connection.pages(connection.registry.ListDenials, request):
        yield from map(judged.denial, answer.denials)


def _approvals(kind: str, connection: Connection, wanted: RowFilter) -> Iterator[Row]:
    from orbital.v1.approval_pb2 import ListApprovalsRequest

    from console.cli.approval import row

    request = ListApprovalsRequest(kind=kind, page_size=wanted.short_page)
    for answer in connection.pages(connection.approval.ListApprovals, request):
        yield from map(row, answer.approvals)


def _flag_changes(connection: Connection, wanted: RowFilter) -> Iterator[Row]:
    from orbital.v1.registry_pb2 import ListFlagChangesRequest

    from console.cli import rows

    if not wanted.region:
        raise Failure("Whose? Say --region REGION.", Exit.USAGE)
    request = ListFlagChangesRequest(region=wanted.region, page_size=wanted.page)
    for answer in connection.pages(connection.registry.ListFlagChanges, request):
        yield from map(rows.flag_change, answer.changes)


def _changes(connection: Connection, wanted: RowFilter) -> Iterator[Row]:
    from orbital.v1.registry_pb2 import ListJobsRequest

    from console.cli import rows

    for answer in connection.pages(connection.registry.ListJobs, ListJobsRequest(page_size=wanted.short_page)):
        yield from map(rows.job, answer.jobs)


def _engines(connection: Connection, _: RowFilter) -> Iterator[Row]:
    from orbital.v1.policy_pb2 import ListEnginesRequest

    from console.cli import judged

    for answer in connection.pages(connection.policy.ListEngines, ListEnginesRequest()):
        yield from (judged.engine(one, answer.served_revision) for one in answer.engines)


def _uses(connection: Connection, wanted: RowFilter) -> Iterator[Row]:
    from orbital.v1.registry_pb2 import ListUsesRequest

    from console.cli import rows

    if not wanted.tenant:
        raise Failure("Whose? Say --tenant TENANT.", Exit.USAGE)
    for answer in connection.pages(connection.registry.ListUses, ListUsesRequest(tenant=wanted.tenant)):
        yield from map(rows.use, answer.uses)


_GENERATION = (
    Column("GENERATION", "generation", form="number"),
    Column("UPDATED", "updated_at", form="age"),
    Column("LABELS", "labels", wide=True),
    Column("CORRELATION ID", "correlation_id", wide=True),
)
_TENANT = Column("TENANT", "tenant")
_VERSION = Column("KEY VERSION", "key_version", form="number")
_ASKED = (
    Column("STATE", "state"), Column("REASON", "reason"), Column("ASKED BY", "asked_by"),
    Column("ASKED", "asked_at", form="age"), Column("UNTIL", "expires_at"), Column("DECIDED BY", "decided_by"),
    Column("DECIDED", "decided_at", wide=True, form="age"), Column("DECLINED BECAUSE", "decline_reason", wide=True),
)  # fmt: skip

NOUNS = (
    Noun("regions", "region", "name", (
        Column("NAME", "name"), Column("AREA", "area"), Column("STATUS", "status"),
        Column("REASON", "status_reason"), Column("CONVERGENCE", "convergence"),
        Column("BEHIND", "drifting", form="number"), Column("OF", "placements", form="number"),
        Column("LAG", "behind_since", form="lag"), Column("LANES 0/1/2", "waiting", form="lanes"),
        Column("REBUILT", "rebuild", form="rebuild", rare=True), Column("HELD LANES", "held_lanes"),
        Column("CONNECTED", "connected"), Column("LAST CONTACT", "last_contact_at", form="age"),
        Column("POLICY", "policy_revisions", wide=True), Column("CRYPTO", "crypto_endpoint", wide=True),
        Column("TRANSPORT", "transport", wide=True),
        Column("PATH", "path", wide=True),
        *(Column(one.title, one.field, wide=True, form=one.form) for one in _GENERATION),
    ), _regions),
    Noun("tenants", "tenant", "name", (
        Column("NAME", "name"), Column("STATE", "state"), Column("DISPLAY NAME", "display_name"),
        Column("LEASE", "lease"), *_GENERATION, Column("PLACEMENT", "placement", wide=True),
    ), partial(_resources, "tenant"), ("tenant",)),
    Noun("systems", "system", "name", (
        _TENANT, Column("NAME", "name"), _VERSION, *_GENERATION, Column("PLACEMENT", "placement", wide=True),
    ), partial(_resources, "system"), ("tenant",)),
    Noun("services", "service", "name", (
        _TENANT, Column("SYSTEM", "system"), Column("NAME", "name"), _VERSION, *_GENERATION,
    ), partial(_resources, "service"), ("tenant",)),
    Noun("links", "link", "name", (
        _TENANT, Column("NAME", "name"), Column("SYSTEM", "system"), Column("STATE", "state"),
        Column("PROVIDER", "provider"), Column("KEY", "key"), *_GENERATION,
        Column("SHARED WITH", "shared_with", wide=True),
    ), partial(_resources, "link"), ("tenant",)),
    Noun("edgepolicies", "edgepolicy", "name", (
        Column("NAME", "name"), Column("RULES", "rule_count", form="number"), *_GENERATION,
        Column("PLACEMENT", "placement", wide=True),
    ), partial(_resources, "edge_policy"), (), ("rule_count",)),
    Noun("edges", "edge", "edge", (
        Column("REGION", "region"), Column("EDGE", "edge"), Column("STATUS", "status"),
        Column("REVISION", "revision"), Column("SINCE", "since", form="age"), Column("DESIRED", "desired_revision"),
        Column("REASON", "reason"), Column("HEARD", "heard_at", form="age"), Column("MESSAGE", "message", wide=True),
    ), _edges, ("region",)),
    Noun("placements", "placement", "resource", (
        _TENANT, Column("RESOURCE", "resource"), Column("KIND", "kind"), Column("REGION", "region"),
        Column("DESIRED", "desired_generation", form="number"),
        Column("OBSERVED", "observed_generation", form="number"),
        Column("STATE", "state"), Column("REASON", "reason"), Column("UPDATED", "updated_at", form="age"),
        Column("KEY STATE", "key_state", wide=True), Column("KEY VERSION", "key_version", wide=True, form="number"),
        Column("MESSAGE", "message", wide=True), Column("CORRELATION ID", "correlation_id", wide=True),
    ), _placements, ("tenant", "region", "correlation_id"), ("message", "key_state", "key_version", "name", "leaving")),
    Noun("tasks", "task", "id", (
        Column("ID", "id", form="short"), Column("KIND", "kind"), Column("LANE", "lane", form="number"),
        Column("REGION", "region"), Column("RESOURCE", "resource"), Column("GENERATION", "generation", form="number"),
        Column("STATE", "state"), Column("REASON", "reason"), Column("UPDATED", "updated_at", form="age"),
        Column("SEQUENCE", "sequence", wide=True, form="number"),
        Column("ATTEMPTS", "attempts", wide=True, form="number"),
        Column("RETRY AT", "retry_at", wide=True),
        Column("MESSAGE", "message", wide=True), Column("CORRELATION ID", "correlation_id", wide=True),
    ), _tasks, ("tenant", "region", "correlation_id", "parked")),
    Noun("flags", "flag", "component", (
        Column("REGION", "where"), Column("COMPONENT", "component"), Column("STATUS", "status"),
        Column("SEVERITY", "severity"), Column("REASON", "reason"), Column("SINCE", "since", form="age"),
        Column("MESSAGE", "message"), Column("EFFECTS", "effects"),
        Column("NEXT CHECK", "next_check", wide=True, form="age"),
        Column("EVIDENCE", "evidence", wide=True), Column("CONSEQUENCES", "consequences", wide=True),
        Column("CORRELATION ID", "correlation_id", wide=True),
    ), _flags, ("region",), ("where",)),
    Noun("flagchanges", "flagchange", "component", (
        Column("TIME", "changed_at", form="time"), Column("AGE", "changed_at", form="age"), Column("REGION", "region"),
        Column("COMPONENT", "component"), Column("CHANGE", "kind"), Column("STATUS", "status"),
        Column("REASON", "reason"),
    ), _flag_changes, ("region",)),
    Noun("changes", "change", "correlation_id", (
        Column("CREATED", "created_at", form="age"), Column("ACTION", "action"), Column("DETAIL", "detail"),
        Column("ACTOR", "actor"), Column("CONVERGED", "converged", form="number"), Column("OF", "total", form="number"),
        Column("STATE", "state"), Column("CORRELATION ID", "correlation_id"),
        Column("ENDED AT", "ended_at", wide=True), Column("SUPERSEDED BY", "superseded_by", wide=True),
    ), _changes, (), ("regions", "superseded_regions")),
    Noun("engines", "engine", "engine", (
        Column("ENGINE", "engine"), Column("REVISION", "revision"), Column("CURRENT", "current"),
        Column("SINCE", "since", form="age"), Column("HEARD", "heard_at", form="age"),
        Column("LOST", "lost", form="number"), Column("ERROR", "error"),
        Column("MADE", "made", wide=True, form="number"), Column("RECEIVED", "received", wide=True, form="number"),
    ), _engines),
    Noun("uses", "use", "region", (
        Column("REGION", "region"), Column("WRAPS", "wraps", form="number"),
        Column("UNWRAPS", "unwraps", form="number"), Column("SINCE", "since", form="age"),
        Column("HEARD", "heard_at", form="age"),
    ), _uses, ("tenant",)),
    Noun("deadletters", "deadletter", "id", (
        Column("ID", "id", form="number"), Column("REGION", "region"), Column("LANE", "lane", form="number"),
        Column("REASON", "reason"), Column("BYTES", "size_bytes", form="number"),
        Column("AGE", "created_at", form="age"),
    ), _dead_letters),
    Noun("securityevents", "securityevent", "id", (
        Column("ID", "id", form="number"), Column("REGION", "region"), Column("SUBJECT", "subject"),
        Column("REASON", "reason"), Column("MESSAGE", "message"), Column("COUNT", "count", form="number"),
        Column("LAST", "last_at", form="age"), Column("FIRST", "first_at", wide=True, form="age"),
        Column("PRINCIPAL", "principal", wide=True),
    ), _security_events),
    Noun("approvals", "approval", "id", (
        Column("ID", "id"), Column("KIND", "kind"), Column("SUBJECT", "subject"), *_ASKED,
        Column("REGIONS", "regions", wide=True),
    ), partial(_approvals, "")),
    Noun("restorations", "restoration", "id", (
        Column("ID", "id"), Column("TENANT", "tenant"), *_ASKED,
        Column("LINKS", "links", wide=True), Column("REGIONS", "regions", wide=True),
    ), partial(_approvals, "restoration")),
    Noun("decommissions", "decommission", "id", (
        Column("ID", "id"), Column("REGION", "region"), *_ASKED,
        Column("PLACEMENTS", "placements", form="number"), Column("SERVES UNTIL", "serve_until"),
        Column("UNPROVEN", "unproven", wide=True, form="number"),
        Column("LAST CONTACT", "last_contact_at", wide=True, form="age"),
    ), partial(_approvals, "decommission")),
    Noun("denials", "denial", "decision_id", (
        Column("DECISION", "decision_id", form="short"), Column("POLICY", "policy"), Column("PRINCIPAL", "principal"),
        Column("ACTION", "action"), Column("REASON", "reason"), Column("MESSAGE", "message"),
        Column("COUNT", "count", form="number"), Column("LAST", "last_at", form="age"),
        Column("FIRST", "created_at", wide=True, form="age"), Column("ENGINE", "engine", wide=True),
        Column("CORRELATION ID", "correlation_id", wide=True),
    ), _denials, ("correlation_id",)),
)  # fmt: skip
