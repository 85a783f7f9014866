"""YAML text to a tree of nodes that know their lines.

Built from parser events with an explicit stack, so that neither depth nor aliases of a hostile file cost more than
the file's own size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

import yaml
from yaml.resolver import Resolver

from console.cli.declaration.problem import Problems

MAX_BYTES = 8 * 1024 * 1024
MAX_ALIASES = 1_000
MAX_DEPTH = 32
# Those that hold nothing count too: each is read.
MAX_DOCUMENTS = 10_000
# Of one list or mapping.
MAX_ENTRIES = 10_000
# Begins every document but the first, wherever it stands at the beginning of a line.
MARKER = re.compile(r"^---(?=\s|\Z)", re.MULTILINE)

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CONTROL = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LINES = re.compile("[\t\n\r\x85]")
# Where one file was put behind another one, its mark stands at the beginning of a line.
MARK_WITHIN = re.compile("(?<=\n)\ufeff+")
PREFIX = "tag:yaml.org,2002:"


@dataclass(slots=True)
class Scalar:
    """A single value as it was written; `type` is what YAML takes it for: str, int, bool, null, float."""

    line: int
    text: str
    type: str


@dataclass(slots=True)
class Items:
    """A YAML sequence."""

    line: int
    nodes: list[Node]


@dataclass(slots=True)
class Mapping:
    """A YAML mapping; keys stay in the order of writing, duplicates included."""

    line: int
    entries: list[tuple[Node, Node]]


Node = Scalar | Items | Mapping


class _Stop(Exception):
    """The text cannot be read any further; the problem has been noted."""


def parse(raw: bytes, problems: Problems) -> list[Node]:
    """The documents of a file, without the empty ones. What cannot be read is added to `problems`."""
    try:
        text = _decode(raw, problems)
        if sum(1 for _ in MARKER.finditer(text)) > MAX_DOCUMENTS:
            # Reading them takes a hundred times as long as counting them.
            problems.add(0, "", f"more than {MAX_DOCUMENTS:,} documents")
            return []
        return _Composer(problems).documents(text)
    except _Stop:
        return []


def _decode(raw: bytes, problems: Problems) -> str:
    if len(raw) > MAX_BYTES:
        problems.add(0, "", f"{len(raw):,} bytes; expected at most {MAX_BYTES:,}")
        raise _Stop
    try:
        text = MARK_WITHIN.sub("", raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        problems.add(raw.count(b"\n", 0, error.start) + 1, "", "not UTF-8; expected text in UTF-8")
        raise _Stop from error
    if match := CONTROL.search(text):
        problems.add(text.count("\n", 0, match.start()) + 1, "", _unprintable(match[0]))
        raise _Stop
    return text


def _unprintable(character: str) -> str:
    called = {"\n": " (the end of a line)", "\t": " (a tab)"}.get(character, "")
    return f"control character U+{ord(character):04X}{called}; expected printable text"


class _Composer:
    """Puts the events of one file together."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._resolver = Resolver()
        self._aliases = 0

    def documents(self, text: str) -> list[Node]:
        """All documents that hold something."""
        found: list[Node] = []
        anchors: dict[str, Node] = {}
        stack: list[tuple[Items | Mapping, Node | None]] = []
        try:
            for event in yaml.parse(text, Loader=LOADER):
                node = self._node(event, anchors)
                if node is None:
                    if isinstance(event, yaml.DocumentStartEvent):
                        anchors = {}
                    elif isinstance(event, yaml.CollectionEndEvent):
                        stack.pop()
                    continue
                self._attach(node, stack, found)
                if isinstance(event, yaml.CollectionStartEvent):
                    stack.append((node, None))  # type: ignore[arg-type]  # a start event makes a collection
                    if len(stack) > MAX_DEPTH:
                        self._fail(node.line, f"nested deeper than {MAX_DEPTH} levels")
        except yaml.YAMLError as error:
            self._syntax(error, text)
        return [node for node in found if not (isinstance(node, Scalar) and node.type == "null")]

    def _node(self, event: yaml.Event, anchors: dict[str, Node]) -> Node | None:
        node: Node
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, line, anchors)
        if isinstance(event, yaml.ScalarEvent):
            node = Scalar(line, event.value, self._type(event))
            # What a file cannot hold as it is, an escape of YAML can name. Every value is one line of text.
            if match := CONTROL.search(event.value) or LINES.search(event.value):
                self._fail(line, _unprintable(match[0]))
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Items(line, [])
        elif isinstance(event, yaml.MappingStartEvent):
            node = Mapping(line, [])
        else:
            return None
        if event.tag is not None:
            self._fail(line, f"tag {event.tag}; expected plain values without tags")
        if event.anchor is not None:
            anchors[event.anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent, line: int, anchors: dict[str, Node]) -> Node:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            self._fail(line, f"more than {MAX_ALIASES:,} aliases")
        node = anchors.get(event.anchor or "")
        if node is None:
            self._fail(line, f"alias *{event.anchor}; expected an anchor &{event.anchor} before it, in this document")
        return node

    def _type(self, event: yaml.ScalarEvent) -> str:
        tag: str = self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
        return tag.removeprefix(PREFIX)

    def _attach(self, node: Node, stack: list[tuple[Items | Mapping, Node | None]], found: list[Node]) -> None:
        if not stack:
            found.append(node)
            return
        parent, key = stack[-1]
        if len(parent.nodes if isinstance(parent, Items) else parent.entries) >= MAX_ENTRIES:
            self._fail(node.line, f"more than {MAX_ENTRIES:,} entries in one list or mapping")
        if isinstance(parent, Items):
            parent.nodes.append(node)
        elif key is None:
            stack[-1] = (parent, node)
        else:
            parent.entries.append((key, node))
            stack[-1] = (parent, None)

    def _syntax(self, error: yaml.YAMLError, text: str) -> NoReturn:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 0
        lines = text.splitlines()
        message = f"not YAML: {getattr(error, 'problem', None) or error}"
        if line and "\t" in (lines[line - 1] if line <= len(lines) else "")[:80]:
            message = "a tab; expected spaces, which alone indent YAML"
        self._problems.add(line, "", message)
        raise _Stop from error

    def _fail(self, line: int, message: str) -> NoReturn:
        self._problems.add(line, "", message)
        raise _Stop
