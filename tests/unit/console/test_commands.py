"""The verbs against a small gateway: answers, messages and exit statuses."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import yaml
from orbital.v1 import registry_pb2 as api
from orbital.v1.resource_pb2 import LinkSpec

from console.cli.nouns import NOUNS
from runtime import errors
from tests.unit.console.conftest import Orbital
from tests.unit.console.gateway import ID, NOW, FakeGateway

DOCUMENT = """\
apiVersion: orbital/v1
kind: Region
metadata: {name: eu10}
spec: {area: eu}
"""
CREATE = api.Change(name="regions/eu10", action=api.CHANGE_ACTION_CREATE, to_generation=1, regions=1)
UPDATE = api.Change(
    name="tenants/acme/systems/core",
    action=api.CHANGE_ACTION_UPDATE,
    from_generation=7,
    to_generation=8,
    fields=[api.FieldChange(path="key_version", before="1", after="2")],
    regions=2,
)
NONE = api.Change(name="regions/eu10", action=api.CHANGE_ACTION_NONE)
DONE = api.Job(
    correlation_id=ID, total=12, converged=12, create_time=NOW, converge_time=NOW,
    end_time=NOW, state=api.JobState.JOB_STATE_CONVERGED,
)  # fmt: skip
PLACEMENT = api.Placement(
    tenant="acme",
    resource="tenants/acme/links/core",
    kind=api.RESOURCE_KIND_LINK,
    region="eu10",
    desired_generation=8,
    observed_generation=7,
    state=api.PLACEMENT_STATE_DRIFTING,
    reason="HSM_UNREACHABLE",
    message="The HSM does not answer",
    correlation_id=ID,
    updated_at=NOW,
)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "estate.yaml"
    path.write_text(DOCUMENT)
    return str(path)


def test_apply_prints_changes_and_correlation_id(gateway: FakeGateway, orbital: Orbital, file: str) -> None:
    gateway.changes = [CREATE, UPDATE]
    ended = orbital("apply", "-f", file)
    assert ended.status == 0
    assert "+ regions/eu10  (1 region)" in ended.out
    assert "~ tenants/acme/systems/core  g7 → g8  key_version: 1 → 2  (2 regions)" in ended.out
    assert f"Correlation ID: {ID}" in ended.out
    assert gateway.asked[0].request_id


def test_apply_dry_run_only_asks(gateway: FakeGateway, orbital: Orbital, file: str) -> None:
    gateway.changes = [CREATE]
    ended = orbital("apply", "-f", file, "--dry-run", "-o", "json")
    assert gateway.asked[0].validate_only
    answer = json.loads(ended.out)
    assert (answer["created"], answer["updated"], answer["unchanged"], answer["correlation_id"]) == (1, 0, 0, "")


def test_apply_of_nothing_new_says_so(gateway: FakeGateway, orbital: Orbital, file: str) -> None:
    gateway.changes = [NONE]
    ended = orbital("apply", "-f", file, "--wait")
    assert (ended.status, ended.out) == (0, "Nothing changes: all 1 are as declared.\n")
    assert len(gateway.asked) == 1


def test_apply_waits_through_a_gateway_that_goes_away(gateway: FakeGateway, orbital: Orbital, file: str) -> None:
    gateway.changes, gateway.jobs = [CREATE], [DONE]
    gateway.error, gateway.errors_left = errors.Unavailable("The policy engine does not answer"), 2
    ended = orbital("apply", "-f", file, "--wait")
    assert ended.status == 0
    assert "Converged: 12 of 12" in ended.err


def test_apply_time_out_names_what_blocks(gateway: FakeGateway, orbital: Orbital, file: str) -> None:
    away = api.JobRegion(region="ap20", behind=1, last_contact_at=NOW)
    slow = api.JobRegion(region="us20", behind=2, connected=True, reason="HSM_UNREACHABLE")
    gateway.changes = [CREATE]
    gateway.jobs = [api.Job(correlation_id=ID, total=12, converged=9, regions=[away, slow])]
    ended = orbital("apply", "-f", file, "--wait", "--timeout", "0.3")
    assert ended.status == 7
    assert "9 of 12 converged. Waiting: ap20 (unreachable, not heard for " in ended.err
    assert f"us20 (HSM_UNREACHABLE). Follow: orbital trace {ID} --watch" in ended.err


def test_apply_tells_the_servers_refusal_with_the_line(gateway: FakeGateway, orbital: Orbital, file: str) -> None:
    gateway.error = errors.Invalid('unknown area "eu"', field="resources[0].region.area")
    ended = orbital("apply", "-f", file)
    assert ended.status == 1
    assert ended.err == f'{file}:4 spec.area: unknown area "eu". Nothing was stored.\n'
    assert ended.out == ""


def test_apply_refuses_a_bad_file_before_asking(gateway: FakeGateway, orbital: Orbital) -> None:
    ended = orbital("apply", "-f", "-", stdin=b"kind: Nothing\n")
    assert ended.status == 1
    assert "stdin:1 apiVersion: is missing" in ended.err
    assert gateway.asked == []


@pytest.mark.parametrize(("changes", "status"), [([UPDATE], 8), ([NONE], 0)])
def test_diff_has_its_own_status(
    gateway: FakeGateway, orbital: Orbital, file: str, changes: list[api.Change], status: int
) -> None:
    gateway.changes = changes
    assert orbital("diff", "-f", file).status == status
    assert gateway.asked[0].validate_only


def test_placement_in_json_has_exactly_its_documented_fields(gateway: FakeGateway, orbital: Orbital) -> None:
    gateway.placements = [PLACEMENT]
    (row,) = json.loads(orbital("get", "placements", "--tenant", "acme", "-o", "json").out)
    assert row == {
        "tenant": "acme",
        "resource": "tenants/acme/links/core",
        "kind": "link",
        "region": "eu10",
        "desired_generation": 8,
        "observed_generation": 7,
        "state": "drifting",
        "reason": "HSM_UNREACHABLE",
        "correlation_id": ID,
        "updated_at": "2026-11-18T11:06:40.123Z",
    }
    assert gateway.asked[0].filter.tenant == "acme"


def test_flags_show_what_why_since_when_and_what_next(gateway: FakeGateway, orbital: Orbital) -> None:
    (row,) = json.loads(orbital("get", "flags", "--region", "eu10", "-o", "json").out)
    assert gateway.asked[0].region == "eu10"
    moment = "2026-11-18T11:06:40.123Z"
    assert row == {
        "region": "eu10",
        "component": "openbao",
        "status": "out_of_sync",
        "severity": "critical",
        "reason": "OPENBAO_SEALED",
        "message": "",
        "evidence": [{"name": "sealed", "value": "true", "time": moment}],
        "since": moment,
        "next_check": moment,
        "correlation_id": "",
        "consequences": ["disk: DISK_LOW"],
        "effects": [],
    }


def test_every_form_shows_one_model(gateway: FakeGateway, orbital: Orbital) -> None:
    gateway.placements = [PLACEMENT]
    as_json = json.loads(orbital("get", "placement", "acme/core", "-o", "json").out)
    assert yaml.safe_load(orbital("get", "placements", "-o", "yaml").out) == as_json
    assert orbital("get", "placements", "-o", "name").out == "tenants/acme/links/core\n"
    table = orbital("get", "placements").out.splitlines()
    assert " ".join(table[0].split()) == "TENANT RESOURCE KIND REGION DESIRED OBSERVED STATE REASON UPDATED"
    assert " ".join(table[1].split()).startswith("acme tenants/acme/links/core link eu10 8 7 drifting HSM_UNREACHABLE")
    assert "The HSM does not answer" in orbital("get", "placements", "-o", "wide").out


def test_every_page_is_read(gateway: FakeGateway, orbital: Orbital) -> None:
    assert orbital("get", "tenants", "-o", "name").out.split() == ["acme", "birch"]
    (acme, _) = json.loads(orbital("get", "tenants", "-o", "json").out)
    assert (acme["lease"], acme["state"], acme["generation"]) == ("1h30m", "active", 7)


def test_unknown_name_has_close_ones(gateway: FakeGateway, orbital: Orbital) -> None:
    ended = orbital("get", "regions", "us2")
    assert (ended.status, ended.err) == (3, 'No region "us2". Close: us20, us21. List: orbital get regions\n')


def test_unknown_noun_has_the_nearest(orbital: Orbital) -> None:
    ended = orbital("get", "regoins")
    assert (ended.status, ended.err) == (2, 'Unknown noun "regoins". Did you mean regions?\n')


def test_an_empty_list_is_no_failure(gateway: FakeGateway, orbital: Orbital) -> None:
    assert orbital("get", "denials", "-o", "json").out == "[]\n"
    ended = orbital("get", "denials")
    assert (ended.status, ended.out, ended.err) == (0, "", "No denials.\n")


def test_filters_that_a_noun_has_not_are_refused(gateway: FakeGateway, orbital: Orbital) -> None:
    assert orbital("get", "regions", "--tenant", "acme").status == 2


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (errors.Denied("only security officers may revoke acme"), 5, "Denied: only security officers may revoke acme"),
        (errors.Unauthenticated("no certificate"), 4, "Not logged in: no certificate"),
        (errors.NotFound("no such change"), 3, "no such change"),
        (errors.Conflict("acme changed since you looked"), 9, "acme changed since you looked"),
        (errors.Precondition("generation 3 is stale"), 9, "generation 3 is stale"),
        (errors.Invalid("is no ID", field="correlation_id"), 1, "correlation_id: is no ID"),
        (errors.Exhausted("too many calls"), 6, "too many calls"),
        (errors.OrbitalError("An internal error"), 1, "An internal error"),
    ],
)
def test_errors_have_their_exit_status(
    gateway: FakeGateway, orbital: Orbital, error: errors.OrbitalError, status: int, told: str
) -> None:
    gateway.error = error
    ended = orbital("trace", ID)
    assert (ended.status, ended.out) == (status, "")
    assert ended.err.startswith(told)


def test_a_server_that_is_not_available_is_tried_again(gateway: FakeGateway, orbital: Orbital) -> None:
    gateway.error, gateway.errors_left = errors.Unavailable("The policy engine does not answer"), 1
    assert orbital("trace", ID).status == 0
    gateway.errors_left = 3
    assert orbital("trace", ID).status == 6


def test_trace_has_every_hop(gateway: FakeGateway, orbital: Orbital) -> None:
    answer = json.loads(orbital("trace", ID, "-o", "json").out)
    assert [hop["stage"] for hop in answer["hops"]] == ["desired", "execute"]
    assert answer["hops"][0]["lane"] is None
    last = answer["hops"][1]
    assert (last["lane"], last["kind"], last["outcome"], last["decision_id"]) == (1, "LINK_KEY", "done", "7f3a")
    assert "+40 ms" in orbital("trace", ID).out


def test_kill_shows_the_blast_radius_then_kills(gateway: FakeGateway, orbital: Orbital) -> None:
    ended = orbital("kill", "acme", "--reason", "leak", "-o", "json")
    assert ended.status == 0
    assert ended.err.splitlines() == [
        "Blast radius of acme: 2 regions, 2 links, 6 services, 1 edge. Regions: eu10, us20.",
        "In the last hour: 1,200 wraps, 1 unwrap (counted in 1 of 2 regions since 2026-11-18T11:06:40.123Z).",
    ]
    assert json.loads(ended.out)["correlation_id"] == ID
    assert [one.validate_only for one in kills(gateway)] == [True, False]
    assert kills(gateway)[1].request_id


def kills(gateway: FakeGateway) -> list[api.KillRequest]:
    return [one for one in gateway.asked if isinstance(one, api.KillRequest)]


def test_what_would_go_dark_is_told_without_killing(gateway: FakeGateway, orbital: Orbital) -> None:
    gateway.reached = ["eu10", "us21"]
    ended = orbital("kill", "acme", "--reason", "leak", "--dry-run", "-o", "json")
    answer = json.loads(ended.out)
    assert (ended.status, ended.err, answer["correlation_id"], answer["edges"]) == (0, "", "", 2)
    assert [one["region"] for one in answer["unreachable"]] == ["us21"]
    assert [(one["region"], one["wraps"]) for one in answer["uses"]] == [("eu10", 1_200), ("us21", 1_200)]
    told = orbital("kill", "acme", "--reason", "leak", "--dry-run").out
    assert "Out of reach now, dark when it is back or when its lease ends: us21 (not heard for " in told
    assert [one.validate_only for one in kills(gateway)] == [True, True]


def test_a_kill_goes_on_where_nothing_can_be_counted(gateway: FakeGateway, orbital: Orbital) -> None:
    gateway.error, gateway.errors_left = errors.Unavailable("The database is away"), 3
    ended = orbital("kill", "acme", "--reason", "leak")
    assert ended.status == 0
    assert ended.err == "The blast radius cannot be counted: The database is away\n"
    assert not kills(gateway)[-1].validate_only


def test_one_link_is_killed_by_its_name(gateway: FakeGateway, orbital: Orbital) -> None:
    ended = orbital("kill", "acme", "--link", "core", "--reason", "leak")
    assert ended.err.splitlines()[0].startswith("Blast radius of acme/core: 2 regions, 2 links, 6 services, 1 edge.")
    assert ended.out.splitlines() == ["Revoking acme/core in 2 regions.", f"Correlation ID: {ID}"]
    assert [(one.tenant, one.link) for one in kills(gateway)] == [("acme", "core")] * 2


def test_kill_wants_a_reason(gateway: FakeGateway, orbital: Orbital) -> None:
    assert orbital("kill", "acme").status == 2
    assert orbital("kill", "acme", "--reason", " ").status == 2
    assert gateway.asked == []


@pytest.mark.parametrize(("typed", "status", "calls"), [(b"acne\n", 1, 1), (b"acme\n", 0, 2)])
def test_kill_on_a_terminal_asks_for_the_name(
    gateway: FakeGateway, orbital: Orbital, monkeypatch: pytest.MonkeyPatch, typed: bytes, status: int, calls: int
) -> None:
    monkeypatch.setattr("io.TextIOWrapper", _terminal())
    assert orbital("kill", "acme", "--reason", "leak", stdin=typed).status == status
    assert len(kills(gateway)) == calls


def _terminal() -> type:
    import io

    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    return Terminal


def test_kill_of_an_unknown_tenant_names_close_ones(gateway: FakeGateway, orbital: Orbital) -> None:
    gateway.error, gateway.errors_left = errors.NotFound("tenants/acm is unknown"), 1
    ended = orbital("kill", "acm", "--reason", "leak")
    assert (ended.status, ended.err) == (3, 'No tenant "acm". Close: acme. List: orbital get tenants\n')


def test_wrap_and_unwrap_take_keys_from_stdin(gateway: FakeGateway, orbital: Orbital) -> None:
    key = bytes(range(256))
    wrapped = orbital("wrap", "acme/core/billing", "--region", "eu10", stdin=key)
    assert base64.b64decode(wrapped.out) == key[::-1]
    again = orbital("unwrap", "acme/core/billing", "--region", "eu10", "-o", "base64", stdin=wrapped.out.encode())
    assert base64.b64decode(again.out) == key
    assert gateway.asked[0].system == "core"


def test_wrap_refuses_what_it_cannot_wrap(gateway: FakeGateway, orbital: Orbital) -> None:
    assert orbital("wrap", "acme/core", "--region", "eu10", stdin=b"k").status == 2
    assert orbital("wrap", "a/b/c", "--region", "eu10").status == 1
    assert orbital("wrap", "a/b/c", "--region", "eu10", stdin=b"k" * 1_025).status == 1
    assert orbital("wrap", "a/b/c", "--region", "eu1", stdin=b"k").status == 3
    assert orbital("unwrap", "a/b/c", "--region", "eu10", stdin=b"%%%").status == 1


def test_wait_for_everything(gateway: FakeGateway, orbital: Orbital) -> None:
    gateway.placements = [PLACEMENT]
    ended = orbital("wait", "--timeout", "0s")
    assert ended.status == 7
    assert "0 of 1 converged. Waiting: eu10 tenants/acme/links/core (HSM_UNREACHABLE)." in ended.err
    gateway.placements = [api.Placement(state=api.PLACEMENT_STATE_CONVERGED)]
    assert orbital("wait").out == "Converged: 1 of 1.\n"


def test_describe_shows_placements(gateway: FakeGateway, orbital: Orbital) -> None:
    gateway.placements = [PLACEMENT]
    answer = json.loads(orbital("describe", "tenant", "acme", "-o", "json").out)
    assert answer["placements"][0]["message"] == "The HSM does not answer"
    assert "HSM_UNREACHABLE" in orbital("describe", "tenant", "acme").out
    gateway.jobs = [DONE]
    assert json.loads(orbital("describe", "job", ID, "-o", "json").out)["converged"] == 12


def test_a_region_is_described_with_its_flags_and_their_evidence(gateway: FakeGateway, orbital: Orbital) -> None:
    told = orbital("describe", "region", "eu10").out
    assert "OPENBAO_SEALED" in told
    assert "  openbao: sealed = true  at " in told
    assert "edges:" in told


def test_what_became_of_flags_is_asked_of_one_region(gateway: FakeGateway, orbital: Orbital) -> None:
    assert "HSM_SLOW" in orbital("get", "flagchanges", "--region", "eu10").out
    ended = orbital("get", "flagchanges")
    assert (ended.status, ended.err) == (2, "Whose? Say --region REGION.\n")


def test_changes_are_listed(gateway: FakeGateway, orbital: Orbital) -> None:
    gateway.jobs = [DONE]
    assert orbital("get", "changes", "-o", "name").out == f"{ID}\n"


def test_nothing_of_somebody_unknown_is_no_empty_list(gateway: FakeGateway, orbital: Orbital) -> None:
    ended = orbital("get", "placements", "--region", "eu11")
    assert (ended.status, ended.err) == (3, 'No region "eu11". Close: eu10. List: orbital get regions\n')
    assert orbital("get", "placements", "--region", "eu10").status == 0


def test_help_names_every_noun(orbital: Orbital) -> None:
    told = " ".join(orbital("get", "--help").out.split())
    assert [noun.name for noun in NOUNS if noun.name not in told] == []


def test_link_spec_is_what_the_contract_says() -> None:
    assert set(LinkSpec.DESCRIPTOR.fields_by_name) == {"system", "provider", "key", "state", "shared_with"}
