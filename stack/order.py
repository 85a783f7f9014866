"""Which unit needs which: the choice of a subset, and the order to stop in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from runtime.errors import Invalid

Requirements = Mapping[str, Sequence[str]]


def closure(wanted: Iterable[str], requires: Requirements) -> list[str]:
    """`wanted` and all that they need, in the order of `requires`; raises Invalid on a name that is not there."""
    found: set[str] = set()
    rest = list(wanted)
    while rest:
        name = rest.pop()
        if name not in requires:
            raise Invalid(f'Unknown part "{name}"; expected some of {", ".join(sorted(requires))}', field="only")
        if name not in found:
            found.add(name)
            rest.extend(requires[name])
    return [name for name in requires if name in found]


def ending(requires: Requirements) -> TopologicalSorter[str]:
    """Gives each name once all that need it are done; raises Invalid on a circle."""
    sorter = TopologicalSorter[str]()
    for name, needs in requires.items():
        sorter.add(name)
        for need in needs:
            sorter.add(need, name)
    try:
        sorter.prepare()
    except CycleError as error:
        raise Invalid(f"Parts need each other in a circle: {' > '.join(error.args[1])}") from error
    return sorter
