"""The providers of a region, from its settings: the kind of each names the module that speaks to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from importlib import import_module

from pydantic import ValidationError

from region.domain.keys import HSM
from region.ports.l1 import Provider
from runtime.errors import Invalid

PACKAGE = "region.adapters.l1"
KIND = re.compile(r"[a-z][a-z0-9_]*")


async def open_providers(configured: Mapping[str, Mapping[str, str]], stack: AsyncExitStack) -> dict[str, Provider]:
    """Every provider by the name that Links call it; raises Invalid, naming the setting, on a wrong one."""
    return {name: await _open(name, fields, stack) for name, fields in configured.items()}


async def _open(name: str, fields: Mapping[str, str], stack: AsyncExitStack) -> Provider:
    field = f"ORBITAL_L1__{name.upper()}"
    if name == HSM:
        raise Invalid(f"{field}: this name is the region's own HSM's", field=field)
    kind = fields.get("kind", "")
    if not KIND.fullmatch(kind):
        raise Invalid(f"{field}__KIND is {kind!r}; expected the name of a module of {PACKAGE}", field=f"{field}__KIND")
    try:
        module = import_module(f"{PACKAGE}.{kind}")
        config = module.Config.model_validate({key: value for key, value in fields.items() if key != "kind"})
    except (ModuleNotFoundError, AttributeError) as error:
        raise Invalid(f"{field}__KIND is {kind!r}, which is no kind of provider", field=f"{field}__KIND") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = "__".join([field, *(str(part).upper() for part in first["loc"])])
        raise Invalid(f"{where}: {first['msg']}", field=where) from error
    provider: Provider = await stack.enter_async_context(module.open_provider(config))
    return provider
