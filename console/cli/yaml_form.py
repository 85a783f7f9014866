"""YAML that is read back as the same values, and steers no terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from runtime.terminal import harmless


class _Dumper(yaml.SafeDumper):
    """Puts text that a terminal would obey in double quotes, where YAML has escapes for it."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if harmless(value) != value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(documents: Iterable[Any], *, explicit_start: bool = False) -> str:
    """The documents, one after the other."""
    text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, explicit_start=explicit_start)
    # What is left of it stands in double quotes, and the escapes are YAML's own.
    return harmless(str(text))
