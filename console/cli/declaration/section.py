"""Reads one mapping of a declaration strictly: every field is asked for by name, everything else is a mistake."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from console.cli.declaration.problem import SHOWN, Problems
from console.cli.declaration.tree import Items, Mapping, Node, Scalar
from console.cli.moments import parse_duration
from console.cli.suggest import did_you_mean, foreign
from runtime.fields import NAME
from runtime.terminal import one_line

NAME_RULE = "1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit"
MAX_LABELS = 32
MAX_LABEL = 63
MERGE = "<<"
WORDS = {Mapping: "a mapping", Items: "a list", "str": "text", "int": "a number", "float": "a number"}


def describe(node: Node) -> str:
    """What a node is, in words, for "… ; expected …"."""
    if isinstance(node, Scalar):
        if node.type == "null":
            return "nothing"
        if node.type == "str":
            return f'"{_short(node.text)}"'
        return f"{_short(node.text)} ({'true or false' if node.type == 'bool' else WORDS.get(node.type, node.type)})"
    return WORDS[type(node)]


def _short(text: str) -> str:
    flat = one_line(text)
    return flat if len(flat) <= 60 else f"{flat[:57]}..."


class Section:
    """One mapping, or the absence of one: then every field has its default and `require` complains once."""

    def __init__(self, node: Node | None, path: str, line: int, problems: Problems, fields: Sequence[str]) -> None:
        self.path, self.line, self._problems = path, line, problems
        self._nodes: dict[str, Node] = {}
        self.usable = isinstance(node, Mapping)
        if isinstance(node, Mapping):
            self.line = node.line
            self._read(node, fields)
        elif node is not None:
            self.complain(node, "", f"is {describe(node)}; expected a mapping with {', '.join(fields)}")

    def _read(self, node: Mapping, fields: Sequence[str]) -> None:
        first: dict[str, int] = {}
        for key, value in node.entries:
            if not isinstance(key, Scalar):
                self.complain(key, "", f"has {describe(key)} as a field's name; expected {', '.join(fields)}")
            elif key.text in first:
                self.complain(key, key.text, f"is there twice; the first is on line {first[key.text]}")
            elif key.text == MERGE:
                self.complain(key, key.text, "is no merge here; expected each field by its own name")
            elif key.text not in fields:
                self.complain(key, _short(key.text), f"unknown field.{self._hint(key.text, fields)}".rstrip("."))
            else:
                self._nodes[key.text] = value
            if isinstance(key, Scalar):
                first.setdefault(key.text, key.line)

    def _hint(self, word: str, fields: Sequence[str]) -> str:
        """What may have been meant; of the mistakes that nobody is told any more it is not worked out."""
        if len(self._problems.found) >= SHOWN:
            return ""
        return foreign(word) or did_you_mean(word, fields) or f" Expected one of {', '.join(fields)}."

    def where(self, key: str) -> str:
        """The full path of a field."""
        return f"{self.path}.{key}" if self.path and key else self.path or key

    def complain(self, node: Node | None, key: str, message: str) -> None:
        """Note a mistake in the field `key`, at its node's line or else at this mapping's."""
        self._problems.add(node.line if node is not None else self.line, self.where(key), message)

    def node(self, key: str) -> Node | None:
        """The node of a field; an explicit null counts as absent."""
        node = self._nodes.get(key)
        return None if isinstance(node, Scalar) and node.type == "null" else node

    def section(self, key: str, fields: Sequence[str], *, required: bool = False) -> Section:
        """The mapping below `key`."""
        node = self.node(key)
        if node is None and required and self.usable:
            self.complain(None, key, f"is missing; expected a mapping with {', '.join(fields)}")
        return Section(node, self.where(key), self.line, self._problems, fields)

    def text(self, key: str, *, required: bool = False, expected: str = "text", most: int = 200) -> str:
        """A piece of text; "" when absent or wrong."""
        node = self.node(key)
        if node is None:
            if required and self.usable:
                self.complain(None, key, f"is missing; expected {expected}")
            return ""
        if not isinstance(node, Scalar) or node.type != "str":
            quoted = f', in quotes: "{node.text}"' if isinstance(node, Scalar) else ""
            self.complain(node, key, f"is {describe(node)}; expected {expected}{quoted}")
            return ""
        if not 0 < len(node.text) <= most:
            self.complain(node, key, f"has {len(node.text)} characters; expected 1 to {most}")
            return ""
        return node.text

    def name(self, key: str, *, required: bool = False, what: str = "a name") -> str:
        """A name segment; "" when absent or wrong."""
        text = self.text(key, required=required, expected=f"{what}: {NAME_RULE}", most=10_000)
        if text and not NAME.fullmatch(text):
            self.complain(self.node(key), key, f'"{_short(text)}" is no name; expected {NAME_RULE}.{foreign(text)}')
            return ""
        return text

    def integer(self, key: str, least: int, most: int, default: int) -> int:
        """A whole number within bounds."""
        node = self.node(key)
        if node is None:
            return default
        expected = f"expected a whole number from {least} to {most:,}"
        if not isinstance(node, Scalar) or node.type != "int" or not node.text.isascii() or not node.text.isdigit():
            self.complain(node, key, f"is {describe(node)}; {expected}")
            return default
        # A longer row of digits is out of bounds anyway, and int() of a very long one is slow.
        value = int(node.text[:20])
        if not least <= value <= most:
            self.complain(node, key, f"is {_short(node.text)}; {expected}")
            return default
        return value

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        """One of a few words."""
        node = self.node(key)
        if node is None:
            return default
        if not isinstance(node, Scalar) or node.text not in choices:
            hint = foreign(node.text) or did_you_mean(node.text, choices) if isinstance(node, Scalar) else ""
            self.complain(node, key, f"is {describe(node)}; expected one of {', '.join(choices)}.{hint}".rstrip("."))
            return default
        return node.text

    def duration(self, key: str, least: float, most: float) -> float | None:
        """Seconds of a duration such as "24h"; None when absent or wrong."""
        node = self.node(key)
        if node is None:
            return None
        seconds = parse_duration(node.text) if isinstance(node, Scalar) else None
        if seconds is None or not least <= seconds <= most:
            self.complain(node, key, f'is {describe(node)}; expected a duration such as "24h", "90m" or "1h30m"')
            return None
        return seconds

    def names(self, key: str, *, what: str) -> list[str]:
        """A list of name segments without repetition."""
        node, found = self.node(key), dict[str, int]()
        if node is None:
            return []
        if not isinstance(node, Items):
            self.complain(node, key, f"is {describe(node)}; expected a list of {what}s")
            return []
        for index, item in enumerate(node.nodes):
            place = f"{key}[{index}]"
            if not isinstance(item, Scalar) or item.type != "str":
                self.complain(item, place, f"is {describe(item)}; expected the name of a {what}")
            elif not NAME.fullmatch(item.text):
                odd = foreign(item.text)
                self.complain(item, place, f'"{_short(item.text)}" is no name; expected {NAME_RULE}.{odd}')
            elif item.text in found:
                self.complain(item, place, f'"{item.text}" is there twice; the first is on line {found[item.text]}')
            else:
                found[item.text] = item.line
        return list(found)

    def sections(self, key: str, fields: Sequence[str]) -> list[Section]:
        """The mappings of a list that has to be there."""
        node = self.node(key)
        if not isinstance(node, Items):
            if self.usable:
                told = "is missing" if node is None else f"is {describe(node)}"
                self.complain(node, key, f"{told}; expected a list of mappings with {', '.join(fields)}")
            return []
        found = []
        for index, item in enumerate(node.nodes):
            found.append(Section(item, self.where(f"{key}[{index}]"), self.line, self._problems, fields))
        return found

    def words(self, key: str, *, what: str, accepts: Callable[[str], bool], expected: str) -> list[str]:
        """A list of pieces of text without repetition, each of which is accepted."""
        node, found = self.node(key), dict[str, int]()
        if node is None:
            return []
        if not isinstance(node, Items):
            self.complain(node, key, f"is {describe(node)}; expected a list of {what}s")
            return []
        for index, item in enumerate(node.nodes):
            place = f"{key}[{index}]"
            if not isinstance(item, Scalar) or item.type != "str" or not accepts(item.text):
                self.complain(item, place, f"is {describe(item)}; expected {expected}")
            elif item.text in found:
                self.complain(item, place, f'"{item.text}" is there twice; the first is on line {found[item.text]}')
            else:
                found[item.text] = item.line
        return list(found)

    def labels(self, key: str) -> dict[str, str]:
        """A mapping of text to text."""
        node, found = self.node(key), dict[str, str]()
        if node is None:
            return found
        if not isinstance(node, Mapping):
            self.complain(node, key, f"is {describe(node)}; expected a mapping of text to text")
            return found
        if len(node.entries) > MAX_LABELS:
            self.complain(node, key, f"has {len(node.entries)} labels; expected at most {MAX_LABELS}")
            return found
        for name, value in node.entries:
            self._label(key, name, value, found)
        return found

    def _label(self, key: str, name: Node, value: Node, found: dict[str, str]) -> None:
        if not isinstance(name, Scalar) or name.type != "str" or not 0 < len(name.text) <= MAX_LABEL:
            self.complain(
                name, key, f"has the label name {describe(name)}; expected text of 1 to {MAX_LABEL} characters"
            )
            return
        place = f"{key}.{name.text}"
        if name.text in found:
            self.complain(name, place, "is there twice")
        elif not isinstance(value, Scalar) or value.type != "str":
            quoted = f', in quotes: "{value.text}"' if isinstance(value, Scalar) else ""
            self.complain(value, place, f"is {describe(value)}; expected text{quoted}")
        elif len(value.text) > MAX_LABEL:
            self.complain(value, place, f"has {len(value.text)} characters; expected at most {MAX_LABEL}")
        else:
            found[name.text] = value.text
