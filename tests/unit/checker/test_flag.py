"""From windows to flags: folding hides consequences, and never a cause."""

from hypothesis import given
from hypothesis import strategies as st

from checker.domain.cause import CAUSE_RULES, EDGE_AWAY
from checker.domain.flag import POLICY, Evidence, Flag, Severity, fold, judge, region_status
from checker.domain.sample import Finding, Sample, Status, healthy, worst
from checker.domain.window import Rule, Window, observe

RULE = Rule()
COMPONENTS = ("openbao", "hsm", "gateway", "envoy", "clock", "certificates", "opa-bulk", "opa-immediate")
COMPONENTS += ("edges", "envoy-edges", "region-immediate")
REASONS = tuple(
    sorted({reason for each in CAUSE_RULES for reason in each.reasons} | {"OTHER", "EVIDENCE_STALE", EDGE_AWAY})
)


def window(component, *findings, step=0.5):
    made = Window(component)
    for index, finding in enumerate(findings):
        made = observe(made, Sample(component, index * step, finding), RULE)
    return made


def away(reason, status=Status.OUT_OF_SYNC):
    return Finding(status, reason, "It is away.", (("probe", "no answer"),))


def judged(*windows, policy=None, now=1.0):
    asked = policy or window(POLICY, healthy(), healthy())
    return judge({each.component: each for each in windows}, asked, {"hsm": 9.0}, now, RULE)


def test_a_flag_says_what_why_since_when_and_what_next():
    (flag,) = judged(window("hsm", healthy(), away("HSM_UNREACHABLE"), away("HSM_UNREACHABLE")))
    assert (flag.component, flag.status, flag.severity) == ("hsm", Status.OUT_OF_SYNC, Severity.CRITICAL)
    assert (flag.reason, flag.since, flag.next_check) == ("HSM_UNREACHABLE", 0.5, 9.0)
    assert flag.evidence == (Evidence("probe", "no answer", 1.0),)


def test_health_gives_no_flag():
    assert judged(window("hsm", healthy())) == []
    assert region_status([]) is Status.HEALTHY


def test_what_nobody_has_looked_at_is_unknown():
    (flag,) = judged(Window("hsm"))
    assert (flag.status, flag.reason) == (Status.UNKNOWN, "NOT_CHECKED_YET")


def test_old_evidence_is_unknown_and_says_what_was():
    (flag,) = judged(window("hsm", healthy()), policy=window(POLICY, healthy()), now=6.0)[-1:]
    assert (flag.status, flag.reason) == (Status.UNKNOWN, "EVIDENCE_STALE")
    assert "before that it was healthy" in flag.message


def test_the_hsm_and_what_follows_from_it_is_one_flag():
    bad = away("HSM_UNREACHABLE"), away("OPENBAO_SEALED")
    (flag,) = judged(window("hsm", bad[0], bad[0]), window("openbao", bad[1], bad[1]))
    assert flag.component == "hsm"
    assert flag.consequences == ("openbao: OPENBAO_SEALED",)


def test_an_edge_that_is_silent_because_its_sidecar_is_down_is_one_flag():
    bad = away(EDGE_AWAY, Status.DEGRADED), away("EDGE_SILENT", Status.DEGRADED)
    (flag,) = judged(window("envoy-edges", bad[0], bad[0]), window("edges", bad[1], bad[1]))
    assert (flag.component, flag.status, flag.severity) == ("envoy-edges", Status.DEGRADED, Severity.WARNING)
    assert flag.consequences == ("edges: EDGE_SILENT",)


def test_two_causes_are_two_flags():
    bad = away("HSM_UNREACHABLE"), away("OPENBAO_UNREACHABLE")
    flags = judged(window("hsm", bad[0], bad[0]), window("openbao", bad[1], bad[1]))
    assert {flag.component for flag in flags} == {"hsm", "openbao"}


def test_what_failed_long_before_is_no_consequence():
    early = Flag("openbao", Status.OUT_OF_SYNC, Severity.CRITICAL, "OPENBAO_SEALED", "", (), 0.0, 0.0)
    late = Flag("hsm", Status.OUT_OF_SYNC, Severity.CRITICAL, "HSM_UNREACHABLE", "", (), 60.0, 0.0)
    assert len(fold([early, late])) == 2


def test_without_policy_everything_is_unknown_for_that_one_reason():
    refused = away("POLICY_UNAVAILABLE", Status.UNKNOWN)
    asked = window(POLICY, refused, refused, step=7)
    (flag,) = judged(window("hsm", healthy()), window("openbao", healthy()), policy=asked, now=8.0)
    assert (flag.component, flag.status, flag.reason) == (POLICY, Status.UNKNOWN, "POLICY_UNAVAILABLE")
    assert flag.consequences == ("hsm: EVIDENCE_STALE", "openbao: EVIDENCE_STALE")
    assert region_status([flag]) is Status.UNKNOWN


def test_without_policy_what_was_wrong_before_is_still_told():
    refused, bad = away("POLICY_UNAVAILABLE", Status.UNKNOWN), away("HSM_UNREACHABLE")
    asked = window(POLICY, refused, refused, step=7)
    flags = judged(window("hsm", bad, bad), window("openbao", healthy()), policy=asked, now=8.0)
    assert [flag.component for flag in flags] == [POLICY, "hsm"]
    assert "HSM_UNREACHABLE" in flags[1].message


def test_flapping_is_one_flag_with_that_reason():
    alternating = [healthy() if index // 10 % 2 == 0 else away("HSM_UNREACHABLE") for index in range(100)]
    (flag,) = judged(window("hsm", *alternating), policy=window(POLICY, healthy(), step=0), now=50.0)[-1:]
    assert (flag.status, flag.reason) == (Status.DEGRADED, "FLAPPING")


FLAGS = st.lists(
    st.builds(
        Flag,
        st.sampled_from(COMPONENTS),
        st.sampled_from([Status.DEGRADED, Status.OUT_OF_SYNC, Status.UNKNOWN]),
        st.just(Severity.WARNING),
        st.sampled_from(REASONS),
        st.just(""),
        st.just(()),
        st.floats(0, 20),
        st.just(0.0),
    ),
    max_size=8,
    unique_by=lambda flag: flag.component,
)


def test_two_that_explain_each_other_are_one_flag():
    one = Flag("envoy", Status.OUT_OF_SYNC, Severity.CRITICAL, "GATEWAY_CONNECT_FAILED", "", (), 0.0, 0.0)
    other = Flag("gateway", Status.OUT_OF_SYNC, Severity.CRITICAL, "SIDECAR_UNREACHABLE", "", (), 0.0, 0.0)
    (flag,) = fold([one, other])
    assert (flag.component, flag.consequences) == ("envoy", ("gateway: SIDECAR_UNREACHABLE",))


@given(FLAGS)
def test_folding_never_hides_an_independent_cause(flags):
    shown = fold(flags)
    names = {flag.component for flag in shown}
    told = {line for flag in shown for line in flag.consequences}
    for flag in flags:
        if flag.component in names:
            continue
        assert f"{flag.component}: {flag.reason}" in told
        causes = {each.cause for each in CAUSE_RULES if each.effect == flag.component and flag.reason in each.reasons}
        down = [one for one in flags if one.status is Status.OUT_OF_SYNC or one.reason == EDGE_AWAY]
        assert any(one.component in causes for one in down)
    assert {flag.component for flag in shown} <= {flag.component for flag in flags}
    assert bool(shown) == bool(flags)


@given(FLAGS)
def test_folding_keeps_what_a_region_is_called(flags):
    if worst([flag.status for flag in flags]) is Status.OUT_OF_SYNC:
        assert region_status(fold(flags)) is Status.OUT_OF_SYNC
