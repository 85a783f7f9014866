"""`orbital policy`: policies are tested, explained and pushed to every engine, and their status is told."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import grpc
from orbital.v1.policy_pb2 import Engine, ListEnginesRequest, ListEnginesResponse
from orbital.v1.policy_pb2_grpc import PolicyServiceStub

from console.cli.judged import silent
from console.cli.render import Column, table
from runtime import kinds
from runtime.channels import open_channel
from runtime.errors import Invalid, Stalled
from runtime.files import read_bytes, read_stream
from runtime.rpc import from_rpc_error
from runtime.wellknown import exact
from stack import policy_files, state
from stack.parts.opa import POLICIES
from stack.place import place_option, site_at

ANSWER_SECONDS = 15.0
LOOK_EVERY = 0.5

_policies = click.argument("policies", type=click.Path(path_type=Path, exists=True), default=POLICIES)
_output = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the output.",
)


@click.group()
def policy() -> None:
    """Test, explain and push policies, and see which engine runs which."""


@policy.command()
@_policies
def test(policies: Path) -> None:
    """Run the policies' own tests, tables included. POLICIES is a directory like policies/, which is the default."""
    click.echo(policy_files.run_tests(policies))


@policy.command()
@click.argument("name", metavar="POLICY")
@click.option("--policies", type=click.Path(path_type=Path, exists=True), default=POLICIES, help="Other policies.")
@click.option("--input", "given", type=click.File("rb"), help="The question as JSON; - reads standard input.")
@click.option("--principal", default="", help="Of a call: who asks, as a SPIFFE ID.")
@click.option("--method", default="", help="Of a call: /orbital.v1.SERVICE/METHOD.")
@click.option("--kind", default="", help="Of a task: LINK_KEY and so on.")
@click.option("--resource", default="", help="Of a task: the whole name.")
@click.option("--region", default="eu10", show_default=True, help="Of a task, and of the engine that is asked.")
@click.option("--component", default="gateway", show_default=True, help="Of the engine: gateway or region.")
@_output
def explain(name: str, policies: Path, given: Any, region: str, component: str, output: str, **said: str) -> None:
    """Say what POLICY (ingress, dispatch, execute, report, probe) decides about a call or a task, by which rules."""
    question = _question(name, json.loads(read_stream(given, given.name)) if given else None, region, said)
    labels = {"region": region if component == "region" or name == "execute" else "global", "component": component}
    found = policy_files.explain(policies, name, question, labels)
    if output == "json":
        click.echo(json.dumps({"decision": found.decision, "rules": found.rules}, indent=2))
        return
    click.echo(json.dumps(found.decision, indent=2))
    for rule in found.rules:
        click.echo(f"  {rule}")


def _question(name: str, given: Any, region: str, said: dict[str, str]) -> dict[str, Any]:
    if given is not None:
        if not isinstance(given, dict):
            raise Invalid("The question is a JSON object", field="input")
        return given
    if said["method"]:
        # As by a certificate that is good for an hour.
        headers = {"content-type": "application/grpc", "x-orbital-certificate-end": str(int(time.time()) + 3600)}
        http = {"method": "POST", "path": said["method"], "headers": headers}
        attributes = {"source": {"principal": said["principal"]}, "request": {"http": http}}
        return {"attributes": attributes, "truncated_body": False, "parsed_body": {"region": region}}
    if not said["kind"] or not said["resource"]:
        raise Invalid("Say --kind and --resource of a task, --method of a call, or --input", field="input")
    parts = said["resource"].split("/")
    task = {
        "id": "1",
        "kind": said["kind"],
        "lane": kinds.table().get(said["kind"], {}).get("lane", -1),
        "region": region,
        "tenant": parts[1] if len(parts) > 1 else "",
        "resource": said["resource"],
        "generation": 1,
    }
    items = "reports" if name == "report" else "tasks"
    return {"region": region, "policy_age": 0, items: [task]}


@policy.command()
@_policies
@click.option("--seconds", type=float, default=60.0, show_default=True, help="How long to wait for every engine.")
@place_option
def push(policies: Path, seconds: float, place: Path) -> None:
    """Put POLICIES, a directory or a signed bundle, in force in the whole fleet, and wait until every engine has it.

    Policies whose tests fail, and bundles that our key did not sign, are refused, and nothing changes. Engines that
    have not been heard of for two minutes are named and not waited for; the exit status is 8 then.
    """
    began = time.monotonic()
    revision = policy_files.install(site_at(place), policies)
    click.echo(f"Revision {revision} is being served")
    with _service(place) as service:
        while not in_force(found := _engines(service), revision):
            if time.monotonic() - began > seconds:
                raise Stalled(
                    f"Not everywhere after {seconds:.0f} s: {_told(found, revision)}", reason="NOT_EVERYWHERE"
                )
            time.sleep(LOOK_EVERY)
    took, here, away = time.monotonic() - began, len(_here(found)), sorted(silent(found.engines))
    if away:
        click.echo(
            f"In force in {here} of {len(found.engines)} engines after {took:.1f} s. Not heard: {', '.join(away)}"
        )
        sys.exit(8)
    click.echo(f"In force in all {here} engines after {took:.1f} s")


def in_force(found: ListEnginesResponse, revision: str) -> bool:
    """Whether every engine that is there has the revision; where none is, nothing is in force."""
    here = _here(found)
    return bool(here and revision) and all(each.revision == revision for each in here)


def _here(found: ListEnginesResponse) -> list[Engine]:
    away = silent(found.engines)
    return [each for each in found.engines if each.name not in away]


def _told(found: ListEnginesResponse, revision: str) -> str:
    behind = [each for each in _here(found) if each.revision != revision]
    said = "; ".join(f"{each.name} runs {each.revision or 'none'} {each.error}".strip() for each in behind)
    return said or "no engine has been heard of"


@policy.command()
@_output
@place_option
def status(place: Path, output: str) -> None:
    """Show each engine's bundle, since when, and how many decisions it made and arrived. Status 8 when they differ."""
    with _service(place) as service:
        found = _engines(service)
    away = silent(found.engines)
    rows = [
        {
            "engine": each.name,
            "revision": each.revision,
            "current": bool(each.revision) and each.revision == found.served_revision and each.name not in away,
            "since": exact(each.since),
            "heard_at": exact(each.heard_time),
            "error": each.error,
            "made": each.made,
            "received": each.received,
            "lost": each.lost,
        }
        for each in found.engines
    ]
    if output == "json":
        click.echo(json.dumps({"served_revision": found.served_revision, "engines": rows}, indent=2))
    else:
        _show(rows)
    sys.exit(0 if rows and all(row["current"] for row in rows) else 8)


def _show(rows: list[dict[str, Any]]) -> None:
    columns = [
        Column("ENGINE", "engine"),
        Column("REVISION", "revision", form="short"),
        Column("CURRENT", "current"),
        Column("SINCE", "since", form="age"),
        Column("MADE", "made", form="number"),
        Column("RECEIVED", "received", form="number"),
        Column("LOST", "lost", form="number"),
        Column("ERROR", "error"),
    ]
    table(rows, columns)


def _engines(service: PolicyServiceStub) -> ListEnginesResponse:
    found, request = ListEnginesResponse(), ListEnginesRequest()
    try:
        while True:
            page = service.ListEngines(request, timeout=ANSWER_SECONDS)
            found.MergeFrom(page)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error


@contextmanager
def _service(place: Path) -> Iterator[PolicyServiceStub]:
    found = state.load(place)
    operator = found.identity["operator"]
    credentials = grpc.ssl_channel_credentials(
        *(read_bytes(Path(name)) for name in (operator.ca, operator.key, operator.cert))
    )
    with open_channel(found.gateway.mtls, credentials) as channel:
        yield PolicyServiceStub(channel)
