"""Named queries out of `queries/*.sql`: each begins with a line `-- name: NAME`."""

from __future__ import annotations

import re
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load(module: str) -> dict[str, str]:
    """The queries of `queries/<module>.sql` by name."""
    text = (resources.files(__package__) / "queries" / f"{module}.sql").read_text()
    parts = _NAME.split(text)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def modules() -> list[str]:
    """The names of the files, in order."""
    files = (resources.files(__package__) / "queries").iterdir()
    return sorted(file.name.removesuffix(".sql") for file in files if file.name.endswith(".sql"))


SQL: dict[str, str] = {name: query for module in modules() for name, query in load(module).items()}
