"""Prints docs/security/limits.md, made from the limits themselves: `python docs/make_limits.py > …`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from runtime.limits import LIMITS

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
_LINE = re.compile(r"^(?P<indent> *)(?P<dash>- )?(?P<key>[\w@'-]+): ?(?P<value>.*?)(?:  # (?P<reason>.+))?$")


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


LEFT_OUT = {"process", "overload_manager", "typed_config", "resource_monitors", "actions", "triggers"}


def page() -> str:
    """The whole page."""
    return "".join([HEAD, SIDECARS, *sidecars()])


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - printing is what it is for
