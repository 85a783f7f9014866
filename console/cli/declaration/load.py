"""Whole files of declarations: each is read strictly, and refused whole when anything is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orbital.v1.resource_pb2 import Resource

from console.cli.declaration.kinds import KINDS, METADATA
from console.cli.declaration.problem import Problem, Problems, Refused
from console.cli.declaration.section import Section, describe
from console.cli.declaration.tree import MAX_BYTES, Mapping, Node, Scalar, parse
from console.cli.suggest import did_you_mean, foreign

VERSION = "orbital/v1"
TOP = ("apiVersion", "kind", "metadata", "spec")
MAX_GENERATION = 2**63 - 1
# With so many in one file its rest is not read.
MOST_MISTAKES = 1_000


@dataclass(frozen=True, slots=True)
class Declaration:
    """A resource, and the place in the file that it was read from."""

    resource: Resource
    file: str
    root: Mapping


def load(files: Iterable[str]) -> list[Declaration]:
    """Every declaration of the files, in order (`-` is standard input); raises Refused with all mistakes."""
    found: list[Declaration] = []
    mistakes: list[Problem] = []
    for file in files:
        problems = Problems("stdin" if file == "-" else file)
        found.extend(_documents(file, problems))
        mistakes.extend(problems.found)
    mistakes.extend(_duplicates(found))
    if mistakes:
        raise Refused(mistakes)
    return found


def read_documents(raw: bytes, problems: Problems) -> list[Declaration]:
    """The declarations in the bytes of one file; mistakes go to `problems`."""
    nodes = parse(raw, problems)
    if not nodes and not problems.found:
        problems.add(0, "", "holds no document; expected at least one with apiVersion, kind, metadata and spec")
    found: list[Declaration] = []
    for node in nodes:
        if len(problems.found) > MOST_MISTAKES:
            problems.add(node.line, "", "is not read any more: there are too many mistakes before it")
            break
        one = _declaration(node, problems)
        if one is not None:
            found.append(one)
    return found


def _documents(file: str, problems: Problems) -> list[Declaration]:
    try:
        if file == "-":
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(file).open("rb") as stream:
                raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        problems.add(0, "", f"cannot be read: {error.strerror}")
        return []
    return read_documents(raw, problems)


def _declaration(node: Node, problems: Problems) -> Declaration | None:
    if not isinstance(node, Mapping):
        problems.add(node.line, "", f"the document is {describe(node)}; expected a mapping with {', '.join(TOP)}")
        return None
    before = len(problems.found)
    top = Section(node, "", node.line, problems, TOP)
    version = top.text("apiVersion", required=True, expected=f'"{VERSION}"')
    if version and version != VERSION:
        top.complain(top.node("apiVersion"), "apiVersion", f'is "{version}"; expected "{VERSION}".{foreign(version)}')
    word = top.text("kind", required=True, expected=f"one of {', '.join(KINDS)}")
    if not word or word not in KINDS:
        if word:
            hint = foreign(word) or did_you_mean(word, KINDS)
            top.complain(top.node("kind"), "kind", f'unknown kind "{word}"; expected one of {", ".join(KINDS)}.{hint}')
        return None
    kind = KINDS[word]
    fields = METADATA if not kind.of_tenant else ("name", "tenant", "labels", "generation")
    metadata = top.section("metadata", fields, required=True)
    spec = top.section("spec", kind.fields, required=kind.required)
    resource = Resource(
        name=kind.name(metadata, spec),
        labels=metadata.labels("labels"),
        generation=metadata.integer("generation", 1, MAX_GENERATION, 0),
    )
    kind.fill(resource, spec)
    return Declaration(resource, problems.file, node) if len(problems.found) == before else None


def _duplicates(found: list[Declaration]) -> list[Problem]:
    first: dict[str, Declaration] = {}
    mistakes: list[Problem] = []
    for one in found:
        earlier = first.setdefault(one.resource.name, one)
        if earlier is not one:
            line, field = locate(one.root, "name")
            message = f"{one.resource.name} is declared twice; the first is at {earlier.file}:{earlier.root.line}"
            mistakes.append(Problem(one.file, line, field, message))
    return mistakes


def locate(root: Mapping, field: str) -> tuple[int, str]:
    """The line and the YAML path of a contract's field, such as `tenant.placement.regions[2]`.

    The line is that of the deepest part that the file spells out.
    """
    node: Node = root
    line = root.line
    for step in _steps(field):
        below = _child(node, step)
        if below is None:
            break
        line, node = below
    return line, ".".join(_yaml_path(field))


def _yaml_path(field: str) -> list[str]:
    """A contract's path in the words of the file: `spec.key_version` → spec, keyVersion."""
    # The file says it shorter than the contract.
    head, _, rest = field.replace("key_compromised_below", "compromised_below").partition(".")
    bare = head.split("[")[0]
    if bare in {"name", "labels", "generation"}:
        return ["metadata", *_camel(field)]
    if bare in {"spec", "region", "tenant", "system", "service", "link", "edge_policy"}:
        return ["spec", *(_camel(rest) if rest else [])]
    return list(_camel(field)) if field else []


def _camel(path: str) -> list[str]:
    words = []
    for part in path.split("."):
        head, *tail = part.split("_")
        words.append(head + "".join(word[:1].upper() + word[1:] for word in tail))
    return words


def _steps(field: str) -> list[str]:
    steps = []
    for part in _yaml_path(field):
        name, *indices = part.split("[")
        steps += [name, *(f"[{index}" for index in indices)]
    return steps


def _child(node: Node, step: str) -> tuple[int, Node] | None:
    if isinstance(node, Mapping):
        for key, value in node.entries:
            if isinstance(key, Scalar) and key.text == step.strip("[]\"'"):
                return (key.line if isinstance(value, Mapping) else value.line), value
        return None
    if not isinstance(node, Scalar) and step.startswith("["):
        index = step.strip("[]")
        if index.isdigit() and int(index) < len(node.nodes):
            return node.nodes[int(index)].line, node.nodes[int(index)]
    return None
