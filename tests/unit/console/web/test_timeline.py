"""A region's timeline: what was wrong between when and when."""

from console.cli.moments import at
from console.web.timeline import NARROWEST, WIDTH, timeline

BEGIN, NOW = 1_795_000_000.0, 1_795_003_600.0


def change(kind, after, component="hsm", status="out_of_sync", reason="HSM_UNREACHABLE"):
    moment = at(BEGIN + after)
    return {"component": component, "kind": kind, "status": status, "reason": reason, "changed_at": moment}


def flag(since, component="hsm", status="out_of_sync", reason="HSM_UNREACHABLE"):
    return {"component": component, "status": status, "reason": reason, "since": at(since)}


def drawn(changes, flags=()):
    return {
        part.component: [(state.status, state.x, state.width) for state in part.states]
        for part in timeline(changes, flags, BEGIN, NOW)
    }


def test_a_flag_that_came_and_went():
    assert drawn([change("cleared", 1800), change("raised", 900)]) == {"hsm": [("out_of_sync", 250.0, 250.0)]}


def test_a_flag_that_changed_and_is_there_still():
    changes = [change("changed", 1800, status="degraded", reason="HSM_SLOW"), change("raised", 900)]
    found = drawn(changes, [flag(BEGIN + 900, status="degraded", reason="HSM_SLOW")])
    assert found == {"hsm": [("out_of_sync", 250.0, 250.0), ("degraded", 500.0, 500.0)]}


def test_a_flag_from_before_begins_at_the_edge():
    assert drawn([change("cleared", 900)]) == {"hsm": [("out_of_sync", 0.0, 250.0)]}
    assert drawn([], [flag(BEGIN - 9000)]) == {"hsm": [("out_of_sync", 0.0, WIDTH)]}
    (part,) = timeline([], [flag(BEGIN - 9000)], BEGIN, NOW)
    assert "for 3h30m" in part.states[0].title


def test_a_short_one_is_seen_and_one_at_the_end_stays_inside():
    assert drawn([change("cleared", 901), change("raised", 900)]) == {"hsm": [("out_of_sync", 250.0, NARROWEST)]}
    assert drawn([], [flag(NOW)]) == {"hsm": [("out_of_sync", WIDTH - NARROWEST, NARROWEST)]}


def test_a_silent_checker_is_drawn_though_no_change_tells_of_it():
    found = timeline([], [flag(BEGIN + 1800, "checker", "unknown", "CHECKER_SILENT")], BEGIN, NOW)
    assert [(part.component, part.status, part.states[0].width) for part in found] == [("checker", "unknown", 500.0)]


def test_the_longest_trouble_comes_first_and_now_is_told():
    changes = [change("cleared", 200, "disk"), change("raised", 100, "disk"), change("raised", 1800)]
    found = timeline(changes, [flag(BEGIN + 1800)], BEGIN, NOW)
    assert [(part.component, part.status) for part in found] == [("hsm", "out_of_sync"), ("disk", "healthy")]


def test_nothing_happened():
    assert timeline([], [], BEGIN, NOW) == []
