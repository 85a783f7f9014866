"""What is served is counted for an hour, in memory."""

from region.domain.usage import Usage

BEGUN = 1_000_000_020.0


def seen(usage: Usage, now: float) -> dict[tuple[str, str], tuple[int, int]]:
    return {key: (count.wraps, count.unwraps) for key, count in usage.counted(now, 1000)}


def test_it_counts_items_by_system_and_forgets_after_an_hour() -> None:
    usage = Usage(BEGUN)
    usage.add("acme", "core", BEGUN, wraps=3)
    usage.add("acme", "core", BEGUN + 1800, wraps=1, unwraps=2)
    usage.add("acme", "edge", BEGUN + 1800, unwraps=1)
    assert seen(usage, BEGUN + 1800) == {("acme", "core"): (4, 2), ("acme", "edge"): (0, 1)}
    assert seen(usage, BEGUN + 3600) == {("acme", "core"): (1, 2), ("acme", "edge"): (0, 1)}
    assert seen(usage, BEGUN + 5400) == {}
    assert usage._totals == {}


def test_it_says_since_when_it_counts() -> None:
    usage = Usage(BEGUN)
    assert usage.since(BEGUN + 60) == BEGUN
    later = usage.since(BEGUN + 7200)
    assert 59 * 60 <= BEGUN + 7200 - later <= 3600


def test_only_the_busiest_are_told() -> None:
    usage = Usage(BEGUN)
    for number in range(5):
        usage.add("acme", f"s{number}", BEGUN, unwraps=number + 1)
    assert [key[1] for key, _ in usage.counted(BEGUN, 2)] == ["s4", "s3"]
