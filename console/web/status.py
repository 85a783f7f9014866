"""The two axes that say how a region is: convergence (desired against observed) and health. They never merge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

Row = dict[str, Any]

# The worst first: what is known to be wrong, then what is not known, then what is not as it should be.
HEALTH = ("out_of_sync", "unknown", "degraded", "healthy")
CONVERGENCE = ("drifting", "held", "converging", "converged")
BADNESS = ("out_of_sync", "unknown", "degraded", "drifting", "held", "converging", "quiet")

NO_AREA = "no area"


def worst(region: Row) -> str:
    """The worse of the two axes; quiet only when the region is healthy, heard, and has everything."""
    if region["status"] != "healthy":
        return str(region["status"])
    found = region["convergence"]
    return "quiet" if found == "converged" else str(found)


def told(region: Row) -> Row:
    """A row of the API with what is worst about it."""
    region["worst"] = worst(region)
    return region


def counts(regions: Iterable[Row]) -> dict[str, int]:
    """How many regions there are of each kind of trouble, the worst first; quiet ones come last."""
    found = Counter(BADNESS[_badness(region["worst"])] for region in regions)
    return {kind: found[kind] for kind in BADNESS}


def loud(regions: Iterable[Row]) -> dict[str, int]:
    """How many regions of each area are not quiet."""
    return Counter(region["area"] or NO_AREA for region in regions if region["worst"] != "quiet")


def _badness(word: str) -> int:
    """How far down the list somebody finds it; a word that is not known here is not known to be harmless."""
    return BADNESS.index(word if word in BADNESS else "unknown")


def worst_first(regions: Iterable[Row]) -> list[Row]:
    """Those that are not quiet."""
    loud = [region for region in regions if region["worst"] != "quiet"]
    return sorted(loud, key=lambda region: (_badness(region["worst"]), region["behind_since"] or "", region["name"]))


def matching(regions: Iterable[Row], words: str, area: str, status: str) -> list[Row]:
    """The regions whose name, area, label or reason has all of the words, in this area, with this trouble."""
    wanted = words.casefold().split()
    found = []
    for region in regions:
        if (area and region["area"] != area) or (status and status not in (region["worst"], region["convergence"])):
            continue
        labels = (f"{key}={value}" for key, value in region["labels"].items())
        said = " ".join((region["name"], region["area"], region["status_reason"], *labels)).casefold()
        if all(word in said for word in wanted):
            found.append(region)
    return found


def by_area(regions: Sequence[Row]) -> dict[str, list[Row]]:
    """Regions under their areas, both in order."""
    found: dict[str, list[Row]] = {}
    for region in sorted(regions, key=lambda region: (region["area"], region["name"])):
        found.setdefault(region["area"] or NO_AREA, []).append(region)
    return found
