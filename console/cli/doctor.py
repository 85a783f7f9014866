"""`orbital doctor`: what is wrong with this machine, this stack or this fleet, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import click

from console.cli.render import Column, count, say, table, write

if TYPE_CHECKING:
    from console.cli.connection import Connection

COLUMNS = (Column("", "mark"), Column("LOOKED AT", "subject"), Column("FOUND", "said"), Column("WHAT TO DO", "advice"))
POLICIES = "See: orbital policy status"


class Finding(Protocol):
    """One thing that was looked at; `advice` is empty when nothing has to be done."""

    @property
    def subject(self) -> str:
        """What was looked at."""

    @property
    def said(self) -> str:
        """What was found."""

    @property
    def advice(self) -> str:
        """What to do."""


class FleetCheck:
    """A finding of the fleet."""

    def __init__(self, subject: str, said: str, advice: str = "") -> None:
        self.subject, self.said, self.advice = subject, said, advice


def fleet(connection: Connection) -> Iterator[Finding]:
    """What the control plane knows of regions, policies and refused messages; raises OrbitalError when it is away."""
    from orbital.v1.policy_pb2 import ListEnginesRequest
    from orbital.v1.registry_pb2 import (
        ListDeadLettersRequest,
        ListFlagsRequest,
        ListRegionsRequest,
        ListSecurityEventsRequest,
    )

    from console.cli.judged import silent

    registry = connection.registry
    declared = [one for page in connection.pages(registry.ListRegions, ListRegionsRequest()) for one in page.regions]
    yield from map(_region, declared)
    if not declared:
        yield FleetCheck("regions", "none is declared", "Declare some: orbital apply -f examples/estate.yaml")
    for listed in connection.pages(registry.ListFlags, ListFlagsRequest()):
        yield from map(_own_flag, (flag for flag in listed.flags if not flag.region))
    pages = list(connection.pages(connection.policy.ListEngines, ListEnginesRequest()))
    engines, served = [one for page in pages for one in page.engines], pages[0].served_revision
    if not engines:
        yield FleetCheck("policy engines", "none has been heard of", POLICIES)
    away = silent(engines)
    for engine in engines:
        if engine.name in away:
            yield FleetCheck(
                engine.name, "has not been heard of for minutes, so that its policy is not known", POLICIES
            )
        elif engine.error:
            yield FleetCheck(engine.name, f"refuses the newest bundle: {engine.error}", POLICIES)
        elif not engine.revision or engine.revision != served:
            yield FleetCheck(engine.name, f"has the policy {engine.revision or 'of nobody'} still", POLICIES)
        elif engine.lost:
            yield FleetCheck(engine.name, f"{count(engine.lost, 'decision')} did not arrive", POLICIES)
    letters = connection.call(registry.ListDeadLetters, ListDeadLettersRequest(page_size=1))
    dropped = f", and {letters.dropped} older ones were dropped" if letters.dropped else ""
    yield FleetCheck(
        "dead letters", f"{letters.total}{dropped}", "See: orbital get deadletters" if letters.total else ""
    )
    events = connection.call(registry.ListSecurityEvents, ListSecurityEventsRequest(page_size=1)).events
    yield FleetCheck(
        "security events", "some" if events else "none", "See: orbital get securityevents" if events else ""
    )


def _own_flag(flag: Any) -> Finding:
    """A flag of the control plane itself."""
    return FleetCheck(flag.component, f"{flag.reason}: {flag.message}", "See: orbital get flags")


def _region(region: Any) -> Finding:
    from orbital.v1.flag_pb2 import HealthStatus

    from runtime.wellknown import label

    name = region.resource.name.rpartition("/")[2]
    status = label(HealthStatus, region.status, "HEALTH_STATUS_").replace("_", " ").lower()
    said = f"{status}, {region.placements - region.drifting} of {region.placements} placements converged"
    if not region.connected:
        return FleetCheck(f"region {name}", f"no stream open, {said}", "Its path or its processes: orbital get regions")
    if status != "healthy":
        return FleetCheck(
            f"region {name}", f"{said}: {region.status_reason}", f"See: orbital get flags --region {name}"
        )
    if region.drifting:
        return FleetCheck(f"region {name}", said, f"See: orbital get placements --region {name}")
    return FleetCheck(f"region {name}", said)


def tell(findings: Iterable[Finding], output: str) -> bool:
    """Print the findings; False when something has to be done."""
    rows = [{"subject": one.subject, "said": one.said, "advice": one.advice} for one in findings]
    if not rows:
        rows = [{"subject": "everything", "said": "nothing was looked at", "advice": "Name what to look at."}]
    wrong = sum(bool(row["advice"]) for row in rows)
    if output == "table":
        table([{**row, "mark": "!" if row["advice"] else ""} for row in rows], COLUMNS)
        say(f"{count(wrong, 'thing')} to do." if wrong else "Nothing has to be done.")
    else:
        write(rows, output)
    return not wrong


def unreachable(message: str) -> Finding:
    """The control plane does not answer."""
    return FleetCheck("gateway", click.unstyle(message), "See above; if all of it runs: orbital status")
