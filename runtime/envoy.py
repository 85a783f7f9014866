"""Envoy's configuration: rendered from a template, parsed strictly into its own types, and validated by the binary."""

from __future__ import annotations

import hashlib
import importlib
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runtime.errors import Invalid
from runtime.files import read_bytes
from runtime.limits import LIMITS, bounded, read_limits
from runtime.programs import run
from runtime.templates import Parameter, parameters_of, render, write

# The types are made as they are first used, which two threads must not do at once.
_TYPES = threading.Lock()
_CLUSTER_FIELDS = ("cluster", "cluster_name")


def prepare(
    template: Path,
    parameters: Mapping[str, Parameter],
    target: Path,
    *,
    envoy: Path | None,
    stamps: Path | None = None,
    more: Path | None = None,
) -> None:
    """Render `template` to `target`; raises Invalid, naming what is wrong, and leaves `target` as it was then.

    The listeners and clusters of the template `more` are added; each of the two may want some of the parameters. All of
    them are bounded by envoy/limits.yaml.

    Checked are: parameters, types of every field, clusters that are named exist and, when `envoy` (the binary) is
    given, what Envoy itself says. All but the parameters is checked once for one template and one binary: `stamps` is
    the directory that remembers it, because it takes seconds, and Envoy refuses a wrong value at its start as well.
    """
    templates = [template, more] if more else [template]
    document = bounded(_joined(templates, parameters), read_limits())
    stamp = stamps / f"envoy-{_shape(templates, parameters, envoy)}" if stamps else None
    candidate = target.with_name(f"{target.stem}.candidate{target.suffix}")
    write(document, candidate)
    if stamp is None or not stamp.exists():
        check_types(document)
        check_clusters(document)
        if envoy:
            validate(envoy, candidate)
        if stamp:
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.touch()
    candidate.replace(target)


def proof(template: Path, identity: str) -> dict[str, Parameter]:
    """How a region proves who it is: PROOF_FILTERS and PROOF_CERTIFICATES of its template, from `template`."""
    said = render(template, dict.fromkeys(parameters_of(template), identity))
    return {"PROOF_FILTERS": said["filters"], "PROOF_CERTIFICATES": said["certificates"]}


def check_types(document: Mapping[str, Any]) -> None:
    """Parse the bootstrap strictly into envoy-data-plane's messages; raises Invalid on an unknown field or type."""
    with _TYPES, warnings.catch_warnings():
        # The generated messages use validators in a style that pydantic is about to drop.
        warnings.simplefilter("ignore", DeprecationWarning)
        for type_url in sorted(set(_type_urls(document))):
            _load(type_url)
        bootstrap = importlib.import_module("envoy_data_plane.envoy.config.bootstrap.v3")
        try:
            bootstrap.Bootstrap.from_dict(document)
        except (KeyError, TypeError, ValueError) as error:
            raise Invalid(f"Envoy's configuration does not fit its types: {error}", reason="BAD_ENVOY") from error


def _load(type_url: str) -> None:
    module, _, name = type_url.removeprefix("type.googleapis.com/").rpartition(".")
    try:
        found = importlib.import_module(f"envoy_data_plane.{module}")
    except ImportError as error:
        raise Invalid(f"Envoy has no type {type_url}", reason="BAD_ENVOY", field="@type") from error
    if not hasattr(found, name):
        raise Invalid(f"Envoy has no type {type_url}", reason="BAD_ENVOY", field="@type")


def check_clusters(document: Mapping[str, Any]) -> None:
    """Raise Invalid when a route or filter names a cluster that is not there: Envoy misses some of these."""
    resources = document["static_resources"]
    known = {cluster["name"] for cluster in resources["clusters"]}
    missing = sorted(set(_clusters(resources["listeners"])) - known)
    if missing:
        raise Invalid(f"There is no cluster {', '.join(missing)}", reason="BAD_ENVOY", field="cluster")


def validate(envoy: Path, configuration: Path) -> None:
    """Ask the binary (`--mode validate`); raises Invalid with what it says."""
    command = [str(envoy), "--mode", "validate", "--log-level", "error", "--config-path", str(configuration)]
    done = run(command, seconds=30)
    if done.status:
        said = (done.err or done.out).strip()
        raise Invalid(f"Envoy refuses {configuration.name}: {said}", reason="BAD_ENVOY", field=configuration.name)


def _joined(templates: Sequence[Path], parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    wanted = set[str]().union(*(parameters_of(template) for template in templates[1:]))
    mine = parameters_of(templates[0])
    # A name that neither knows is left to the first one, to refuse.
    document = render(
        templates[0], {name: parameters[name] for name in parameters if name in mine or name not in wanted}
    )
    for template in templates[1:]:
        added = render(template, {name: parameters[name] for name in parameters_of(template) if name in parameters})
        for kind, resources in added["static_resources"].items():
            document["static_resources"][kind] += resources
    return document


def _shape(templates: Sequence[Path], parameters: Mapping[str, Parameter], envoy: Path | None) -> str:
    """What the checks depend on: values differ with each stack, and change nothing of that."""
    kinds = sorted((name, _kind(value)) for name, value in parameters.items())
    binary = envoy.stat() if envoy else None
    made = (binary.st_size, binary.st_mtime_ns) if binary else ()
    known = f"{kinds} {version('envoy-data-plane')} {made} ".encode()
    content = b"".join(read_bytes(path) for path in (*templates, LIMITS))
    return hashlib.sha256(known + content).hexdigest()[:24]


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_kind(value[name])}' for name in sorted(value))}}}"
    if isinstance(value, list):
        return f"[{', '.join(_kind(each) for each in value)}]"
    return type(value).__name__


def _nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value)


def _type_urls(document: Any) -> Iterator[str]:
    return (node["@type"] for node in _nodes(document) if "@type" in node)


def _clusters(document: Any) -> Iterator[str]:
    return (node[field] for node in _nodes(document) for field in _CLUSTER_FIELDS if isinstance(node.get(field), str))
