"""Prints docs/reference/settings.md, made from the settings' models: `python docs/make_settings.py > …`."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from checker.settings import CheckerSettings
from console.web.settings import ConsoleSettings
from gateway.migrate import MigrateSettings
from gateway.settings import GatewaySettings
from region.settings import RegionSettings
from runtime.settings import describe
from stack.settings import StackSettings

HEAD = """# Settings

Made from the code by `docs/make_settings.py`; a test keeps it so. Every process reads environment variables called
`ORBITAL_*`; one that is not in its table stops the start. Secrets are given as paths of files (0600), never as values.
"""


def table(title: str, model: type[BaseModel], prefix: str) -> Iterator[str]:
    """A section with one row a setting."""
    yield f"\n## {title}\n\n| variable | type | default | meaning |\n|---|---|---|---|\n"
    for name, kind, default, meaning in describe(model, prefix):
        cells = (f"`{name}`", kind.replace("|", "or"), default.replace("|", "or"), meaning.replace("|", "or"))
        yield f"| {' | '.join(cells)} |\n"


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    parts += table("A gateway process: `python -m gateway.main`", GatewaySettings, "ORBITAL_")
    parts += table("A migration, as the database's owner: `python -m gateway.migrate`", MigrateSettings, "ORBITAL_")
    parts += table("A region's process: `python -m region.main`", RegionSettings, "ORBITAL_")
    parts += table("A region's checker: `python -m checker.main`", CheckerSettings, "ORBITAL_")
    parts += table("The console: `python -m console.web.main`", ConsoleSettings, "ORBITAL_")
    parts += table("The stack on one machine: `./orbital up`", StackSettings, "ORBITAL_")
    return "".join(parts)


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - printing is what it is for
