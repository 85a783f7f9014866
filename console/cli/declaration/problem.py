"""Mistakes in a file, collected so that all of them are told at once."""

from __future__ import annotations

from dataclasses import dataclass, field

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it stands and what was expected instead. Line 0: the file as a whole."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place} {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


@dataclass(slots=True)
class Problems:
    """The mistakes of one file, in the order of finding."""

    file: str
    found: list[Problem] = field(default_factory=list)

    def add(self, line: int, path: str, message: str) -> None:
        """Note one mistake at `line`, in the field called `path`."""
        self.found.append(Problem(self.file, line, path, message))


class Refused(Exception):
    """A file is refused whole; `problems` says why, by line."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.file, problem.line))
        super().__init__(explain(self.problems))


def explain(problems: list[Problem]) -> str:
    """The text for a person: one line a mistake, ending with what came of it."""
    lines = [str(problem) for problem in problems[:SHOWN]]
    if len(problems) > SHOWN:
        lines.append(f"and {len(problems) - SHOWN} more mistakes.")
    if len(lines) == 1:
        return f"{lines[0].rstrip('.')}. Nothing was stored."
    return "\n".join([*lines, f"{len(problems)} mistakes. Nothing was stored."])
