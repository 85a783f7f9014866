"""Templates of configuration: YAML in which `${NAME}` stands for a parameter, and nothing else is clever."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from runtime.errors import Invalid
from runtime.files import read_text

# A whole `${NAME}` may stand for more than a scalar: what a list or a mapping holds is put in as it is.
Parameter = str | int | Sequence[Any] | Mapping[str, Any]
_PLACE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")


def render(template: Path, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """The document of `template` with every `${NAME}` replaced.

    A scalar that is nothing but `${NAME}` becomes the parameter itself, whatever that is; as an item of a list, a list
    is put in item by item. Values are put in
    after the YAML is read, so that nothing in a value can change the structure. Raises Invalid naming each parameter
    that is missing, and each that the template does not know.
    """
    document = yaml.load(read_text(template), Loader=yaml.CSafeLoader)
    wanted = parameters_of(template)
    missing, unknown = sorted(wanted - parameters.keys()), sorted(parameters.keys() - wanted)
    if missing:
        raise Invalid(f"{template.name} wants a value for {', '.join(missing)}", reason="PARAMETER", field=missing[0])
    if unknown:
        raise Invalid(f"{template.name} has no parameter {', '.join(unknown)}", reason="PARAMETER", field=unknown[0])
    filled: dict[str, Any] = _fill(document, parameters)
    return filled


def parameters_of(template: Path) -> set[str]:
    """The names of the parameters that `template` wants."""
    return set(_PLACE.findall(read_text(template)))


def write(document: Mapping[str, Any], target: Path) -> None:
    """Write `document` as YAML to `target` in one step, readable by its owner alone."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.new")
    beside.touch(mode=0o600)
    beside.write_text(yaml.dump(document, Dumper=_Plain, sort_keys=False, width=120))
    beside.replace(target)


class _Plain(yaml.CSafeDumper):
    """Writes what a template shares by an anchor at every place where it is used."""

    def ignore_aliases(self, _node: Any) -> bool:
        return True


def _fill(node: Any, parameters: Mapping[str, Parameter]) -> Any:
    if isinstance(node, dict):
        return {key: _fill(value, parameters) for key, value in node.items()}
    if isinstance(node, list):
        return [each for value in node for each in _filled_item(value, parameters)]
    if not isinstance(node, str):
        return node
    whole = _PLACE.fullmatch(node)
    if whole:
        return parameters[whole[1]]
    return _PLACE.sub(lambda place: str(parameters[place[1]]), node)


def _filled_item(item: Any, parameters: Mapping[str, Parameter]) -> list[Any]:
    filled = _fill(item, parameters)
    return filled if isinstance(item, str) and isinstance(filled, list) else [filled]
