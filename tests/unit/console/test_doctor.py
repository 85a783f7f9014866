"""What the doctor says of a fleet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from orbital.v1 import policy_pb2 as policy
from orbital.v1 import registry_pb2 as registry
from orbital.v1.flag_pb2 import Flag, HealthStatus
from orbital.v1.resource_pb2 import Resource

from console.cli.connection import Connection
from console.cli.doctor import FleetCheck, fleet, tell


class Fleet:
    """Two regions and two engines, of which one each is as `changes` say; the rest is as it should be."""

    def __init__(self, **changes: Any) -> None:
        self.changes = changes
        self.registry = self.policy = self
        self.ListRegions, self.ListEngines, self.ListFlags = "regions", "engines", "flags"
        self.ListDeadLetters, self.ListSecurityEvents = "letters", "events"

    def call(self, method: str, _request: object) -> object:
        return getattr(self, f"_{method}")()

    def pages(self, method: str, request: object) -> Iterator[object]:
        yield self.call(method, request)

    def _regions(self) -> registry.ListRegionsResponse:
        usual = {"connected": True, "status": HealthStatus.HEALTH_STATUS_HEALTHY, "placements": 8, "drifting": 0}
        told = {key: value for key, value in self.changes.items() if key in usual}
        return registry.ListRegionsResponse(
            regions=[
                registry.Region(resource=Resource(name="regions/eu10"), **usual),  # type: ignore[arg-type]
                registry.Region(resource=Resource(name="regions/us20"), **{**usual, **told}),  # type: ignore[arg-type]
            ]
        )

    def _flags(self) -> registry.ListFlagsResponse:
        ours = Flag(component="broker", reason=self.changes.get("own", ""), message="It takes no messages")
        regions = Flag(region="us20", component="broker", reason="QUEUE_MISCONFIGURED")
        return registry.ListFlagsResponse(flags=[ours, regions] if ours.reason else [regions])

    def _engines(self) -> policy.ListEnginesResponse:
        told = {key: value for key, value in self.changes.items() if key in {"revision", "error", "lost"}}
        engines = [
            policy.Engine(name="opa-a", revision="r2"),
            policy.Engine(**{"name": "opa-b", "revision": "r2", **told}),
        ]
        return policy.ListEnginesResponse(engines=engines, served_revision="r2")

    def _letters(self) -> registry.ListDeadLettersResponse:
        return registry.ListDeadLettersResponse(total=self.changes.get("letters", 0))

    def _events(self) -> registry.ListSecurityEventsResponse:
        return registry.ListSecurityEventsResponse(events=[registry.SecurityEvent()] * self.changes.get("events", 0))


@pytest.mark.parametrize("empty", ["_regions", "_engines"])
def test_what_is_not_there_at_all_is_not_in_order(empty: str) -> None:
    fleet_of = Fleet()
    answer = {"_regions": registry.ListRegionsResponse(), "_engines": policy.ListEnginesResponse()}[empty]
    setattr(fleet_of, empty, lambda: answer)
    assert not tell(fleet(cast("Connection", fleet_of)), "table")


def wrong(**changes: Any) -> list[tuple[str, str]]:
    findings = fleet(cast("Connection", Fleet(**changes)))
    return [(one.subject, one.said) for one in findings if one.advice]


def test_a_fleet_as_it_should_be_needs_nothing() -> None:
    assert wrong() == []


@pytest.mark.parametrize(
    ("changes", "subject", "said"),
    [
        ({"connected": False}, "region us20", "no stream open, healthy, 8 of 8 placements converged"),
        ({"status": HealthStatus.HEALTH_STATUS_OUT_OF_SYNC}, "region us20", "out of sync, 8 of 8"),
        ({"drifting": 3}, "region us20", "healthy, 5 of 8 placements converged"),
        ({"revision": "r1"}, "opa-b", "has the policy r1 still"),
        ({"error": "no signature"}, "opa-b", "refuses the newest bundle: no signature"),
        ({"lost": 2}, "opa-b", "2 decisions did not arrive"),
        ({"letters": 4}, "dead letters", "4"),
        ({"own": "BROKER_BLOCKED"}, "broker", "BROKER_BLOCKED: It takes no messages"),
        ({"events": 1}, "security events", "some"),
    ],
)
def test_what_is_wrong_is_named_alone(changes: dict[str, Any], subject: str, said: str) -> None:
    found = wrong(**changes)
    assert [one[0] for one in found] == [subject]
    assert found[0][1].startswith(said)


def test_the_answer_is_right_when_nothing_has_to_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell([FleetCheck("a", "good")], "json")
    assert not tell([FleetCheck("a", "good"), FleetCheck("b", "bad", "Mend it.")], "table")
    told = capsys.readouterr()
    assert json.loads(told.out[: told.out.index("]") + 1]) == [{"subject": "a", "said": "good", "advice": ""}]
    assert "1 thing to do." in told.err
