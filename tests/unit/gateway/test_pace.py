"""How fast a rebuild goes, and how long the rest of it takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.state import pace

COUNTS = st.integers(0, 10**8)
# A clock tells no part of a nanosecond.
SECONDS = st.just(0.0) | st.floats(1e-9, 10**7)


@given(COUNTS, COUNTS, SECONDS)
def test_the_rest_takes_as_long_as_it_took_so_far(done: int, more: int, seconds: float) -> None:
    rate, remaining = pace(done, done + more, seconds)
    assert rate >= 0
    if not more:
        assert remaining == 0
    elif not done or not seconds:
        assert remaining is None
    else:
        assert remaining is not None
        assert abs(remaining * done - more * seconds) <= 1e-6 * more * seconds
