"""Prints docs/security/limits.md, made from the limits themselves: `python docs/make_limits.py > …`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from checker.settings import CheckerSettings
from console.web.settings import ConsoleSettings
from gateway.settings import GatewaySettings
from region.settings import RegionSettings
from runtime.limits import LIMITS
from runtime.settings import describe
from stack.parts.rabbitmq import MOST_MESSAGE, POLICIES, REGION_LIMITS

ROOT = Path(__file__).resolve().parents[1]
HEAD = """# Limits

Made from the code by `docs/make_limits.py`; a test keeps it so. Whatever a party sends, what it takes of what others
share is bounded: by the sidecar in front, by the process behind, and by the store.
"""
SIDECARS = """
## Sidecars

From [limits.yaml](../../envoy/limits.yaml), which is put into every listener, connection manager and cluster. Beyond a
rate a call ends as RESOURCE_EXHAUSTED with the reason `RATE_LIMITED`; beyond a number of connections one more is closed
at once; beyond a time the call or the connection ends. The routes of lane 0, of the other lanes, of watches, of calls
and of newcomers lead over connections of their own.

| limit | default | reason |
|---|---|---|
"""
SETTINGS = """
## Settings

The numbers that a process is given; [settings](../reference/settings.md) has all of the others too.
"""
FIXED = """
## In the code

What no setting changes, because a peer relies on it or nobody has a reason to.

| limit | value | reason |
|---|---|---|
"""
PROCESSES = (
    ("A gateway process", GatewaySettings),
    ("A region's process", RegionSettings),
    ("A region's checker", CheckerSettings),
    ("The console", ConsoleSettings),
)
PACKAGES = ("runtime", "gateway", "region", "checker")
NUMBERS = {"int", "float", "int or None", "float or None", "int | None", "float | None"}
LEFT_OUT = {"process", "overload_manager", "typed_config", "resource_monitors", "actions", "triggers"}
_LINE = re.compile(r"^(?P<indent> *)(?P<dash>- )?(?P<key>[\w@'-]+): ?(?P<value>.*?)(?:  # (?P<reason>.+))?$")
_NAME = re.compile(r"(MOST|MAX|LONGEST|LARGEST|WAITING)(_[A-Z0-9_]+)?")


def sidecars() -> Iterator[str]:
    """One row for each line of limits.yaml that has a value."""
    above: list[tuple[int, str]] = []
    for line in LIMITS.read_text().splitlines():
        found = _LINE.match(line)
        if found is None or found["key"] == "'@type'":
            continue
        indent = len(found["indent"])
        above = [item for item in above if item[0] < indent]
        if found["key"] == "name":
            above.append((indent, found["value"].rpartition(".")[2]))
        elif not found["value"]:
            above.append((indent, found["key"]))
        else:
            name = ".".join([*(key for _, key in above if key not in LEFT_OUT), found["key"]])
            yield f"| `{name}` | `{found['value']}` | {found['reason'] or ''} |\n"


def settings(title: str, model: type[BaseModel]) -> Iterator[str]:
    """A section with one row for each number."""
    yield f"\n### {title}\n\n| variable | default | what it bounds, and why |\n|---|---|---|\n"
    for name, kind, default, meaning in describe(model):
        if kind in NUMBERS and not name.endswith("PORT"):
            yield f"| `{name}` | {default} | {meaning.replace('|', 'or')} |\n"


def fixed() -> Iterator[str]:
    """One row for each number of the code that is called MOST, MAX, LONGEST, LARGEST or WAITING."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text()
            for node in ast.parse(text).body:
                if isinstance(node, ast.Assign):
                    yield from _constants(path, node, text.splitlines())


def _constants(path: Path, node: ast.Assign, lines: list[str]) -> Iterator[str]:
    targets = [each for target in node.targets for each in getattr(target, "elts", [target])]
    module = path.relative_to(ROOT).with_suffix("").as_posix()
    for target, value in zip(targets, _numbers(node.value), strict=False):
        if isinstance(target, ast.Name) and _NAME.fullmatch(target.id):
            yield f"| `{module}` {target.id} | {value} | {_reason(node, lines)} |\n"


def _numbers(value: ast.expr) -> list[Any]:
    try:
        found = eval(compile(ast.Expression(value), "", "eval"), {"__builtins__": {}})  # noqa: S307 - our own source
    except NameError:
        return []
    return list(found) if isinstance(found, tuple) else [found]


def _reason(node: ast.Assign, lines: list[str]) -> str:
    """The comment of a constant: at its end, or above it and those beside it."""
    at = node.lineno - 1
    _, _, said = lines[at].partition("  # ")
    while not said and at > 0 and (_NAME.match(lines[at - 1]) or lines[at - 1].startswith("# ")):
        at -= 1
        if lines[at].startswith("# "):
            start = at
            while lines[start - 1].startswith("# "):
                start -= 1
            said = " ".join(line.removeprefix("# ") for line in lines[start : at + 1])
    return said.replace("|", "or")


BROKER = """
## Broker

From `stack/parts/rabbitmq.py`, as the definitions of a stack's RabbitMQ set them; a broker of one's own needs the same
for each region's account (`rabbitmqctl set_user_limits`, `set_policy`).

| limit | default | reason |
|---|---|---|
"""
BROKER_REASONS = {
    "max-connections": "of a region: three lanes by two paths, and as many while they are renewed",
    "max-channels": "of a region: two for each connection",
    "orbital-lanes": "of a lane; the broker refuses more, which is flagged and tried again",
    "orbital-sessions": "of an MQTT session; the oldest goes, and is driven again",
    "orbital-dead": "of all dead letters; the oldest goes",
}


def broker() -> Iterator[str]:
    """One row for each limit of a region's account and of a queue."""
    for name, most in REGION_LIMITS.items():
        yield f"| `{name}` | `{most}` | {BROKER_REASONS[name]} |\n"
    for name, (pattern, definition) in POLICIES.items():
        yield f"| `{name}` (`{pattern}`) | `{definition['max-length-bytes']}` bytes | {BROKER_REASONS[name]} |\n"
    yield f"| `max_message_size` | `{MOST_MESSAGE}` bytes | four times what the gateway puts into a message |\n"


def page() -> str:
    """The whole page."""
    numbers = [row for title, model in PROCESSES for row in settings(title, model)]
    return "".join([HEAD, SIDECARS, *sidecars(), SETTINGS, *numbers, FIXED, *fixed(), BROKER, *broker()])


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - printing is what it is for
