"""Hysteresis, staleness and flapping, for any sequence of samples."""

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from checker.domain.sample import Finding, Sample, Status, healthy
from checker.domain.window import Rule, Window, observe, status

RULE = Rule()
GOOD = healthy()
BAD = Finding(Status.OUT_OF_SYNC, "AWAY", "It is away.")
SICK = Finding(Status.DEGRADED, "SLOW", "It is slow.")
FINDINGS = st.sampled_from([GOOD, BAD, SICK])


def seen(findings, step=0.5, rule=RULE):
    window = Window("part")
    for index, finding in enumerate(findings):
        window = observe(window, Sample("part", index * step, finding), rule)
    return window


def test_nothing_is_known_before_the_first_sample():
    assert status(Window("part"), 0.0, RULE) is Status.UNKNOWN


def test_one_bad_look_raises_nothing_and_two_do():
    assert status(seen([GOOD, BAD]), 0.5, RULE) is Status.HEALTHY
    window = seen([GOOD, BAD, BAD])
    assert status(window, 1.0, RULE) is Status.OUT_OF_SYNC
    assert window.since == 0.5


def test_one_good_look_clears_nothing_and_two_do():
    assert status(seen([BAD, BAD, GOOD]), 1.0, RULE) is Status.OUT_OF_SYNC
    assert status(seen([BAD, BAD, GOOD, GOOD]), 1.5, RULE) is Status.HEALTHY


def test_what_is_wrong_at_first_has_to_be_seen_twice():
    assert status(seen([BAD]), 0.0, RULE) is Status.UNKNOWN
    assert status(seen([BAD, BAD]), 0.5, RULE) is Status.OUT_OF_SYNC


def test_another_reason_for_the_same_trouble_does_not_make_it_younger():
    window = seen([GOOD, BAD, BAD, SICK, SICK])
    assert (window.finding, window.since) == (SICK, 0.5)


def test_an_older_sample_changes_nothing():
    window = seen([GOOD, GOOD])
    assert observe(window, Sample("part", 0.1, BAD), RULE) is window


@given(st.lists(FINDINGS, max_size=40), st.floats(0, 100, allow_nan=False))
def test_never_healthy_without_fresh_evidence(findings, later):
    window = seen(findings)
    now = max(len(findings) - 1, 0) * 0.5 + later
    if status(window, now, RULE) is Status.HEALTHY:
        assert window.last is not None
        assert now - window.last.at <= RULE.stale


@given(st.lists(FINDINGS, min_size=1, max_size=40), st.integers(1, 5), st.integers(1, 5))
def test_a_change_has_its_evidence_in_a_row(findings, raise_after, clear_after):
    rule = Rule(raise_after=raise_after, clear_after=clear_after)
    window = Window("part")
    for index, finding in enumerate(findings):
        before = window.finding
        window = observe(window, Sample("part", float(index), finding), rule)
        if before is None or window.finding == before:
            continue
        needed = clear_after if window.finding.status is Status.HEALTHY else raise_after
        row = findings[max(0, index - needed + 1) : index + 1]
        assert len(row) == needed
        assert all(each != before for each in row)


def test_a_part_that_alternates_is_flapping_and_then_quiet():
    alternating = [GOOD if index // 10 % 2 == 0 else BAD for index in range(120)]
    window, crossings = Window("part"), 0
    for index, finding in enumerate(alternating):
        was = window.flapping
        window = observe(window, Sample("part", index * 0.5, finding), RULE)
        crossings += was is not window.flapping
    assert window.flapping
    assert crossings == 1
    for index in range(120, 220):
        window = observe(window, Sample("part", index * 0.5, GOOD), RULE)
    assert not window.flapping
    assert status(window, 219 * 0.5, RULE) is Status.HEALTHY


def alternating(component: str, reasons: Sequence[str]) -> Window:
    """Five seconds of health, and five of trouble for the next of the reasons, and so on."""
    window = Window(component)
    for round_, reason in enumerate(reasons):
        trouble = Finding(Status.DEGRADED, reason, "It is not as it should be.")
        for index in range(20):
            sample = Sample(component, round_ * 10 + index * 0.5, trouble if index >= 10 else GOOD)
            window = observe(window, sample, RULE)
    return window


def test_a_part_that_suffers_from_several_others_in_turn_does_not_flap():
    several = ("GATEWAY_CONNECT_FAILED", "OPENBAO_CONNECT_FAILED", "REGION_CONNECT_FAILED", "OPA_CONNECT_FAILED")
    assert not alternating("envoy", several).flapping
    assert alternating("envoy", several[:1] * 4).flapping


def test_a_part_that_alternates_for_reasons_of_its_own_flaps():
    assert alternating("openbao", ("OPENBAO_UNREACHABLE", "OPENBAO_SEALED", "OPENBAO_STANDBY", "SLOW")).flapping


def test_an_hour_of_health_with_now_and_then_a_slow_answer_raises_nothing():
    """Two looks a second; one in a hundred is too late, and what comes soon after is another look."""
    chance, now, window = random.Random(6), 0.0, Window("part")
    late = False
    while now < 3600:
        late = not late and chance.random() < 0.01
        window = observe(window, Sample("part", now, BAD if late else GOOD), RULE)
        assert status(window, now, RULE) is Status.HEALTHY
        now += 0.15 if late else 0.5 * (0.9 + 0.2 * chance.random())
