"""Signals of regions' checkers, stored together for all calls of this process."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import DecodeError
from orbital.v1.flag_pb2 import Flag, FlagSeverity, HealthStatus, SignalRequest

from gateway.flow.effects import Effects
from gateway.ports.flags import FlagStore, Signal
from runtime.content import check_content
from runtime.errors import Denied, Invalid
from runtime.fields import check_known, check_length, check_name
from runtime.group_commit import GroupCommit
from runtime.signatures import WRONG_REGION
from runtime.wellknown import seconds

MOST_FLAGS = 64  # a region has some twenty parts
MOST_SIGNALS = 500  # kept in one statement
# A checker sends one at a time: this is more than there are regions.
WAITING_SIGNALS = 20_000
LONGEST_PERIOD = 60.0  # seconds between signals; a region that speaks less often is not looked after
# Of a checker that does not say.
USUAL_PERIOD = 2.0


class SignalFlow:
    """Collects signals while the store is busy with those before."""

    def __init__(self, store: FlagStore, effects: Effects) -> None:
        self._store = store
        self._effects = effects
        self._commit = GroupCommit[Signal](self._keep, most=MOST_SIGNALS, bound=WAITING_SIGNALS)

    async def submit(self, signal: Signal) -> None:
        """Return once it is durable; raises Invalid naming the field, or Unavailable when the store is away."""
        check_signal(signal)
        for error in (await self._commit.submit([signal])).values():
            raise error

    async def run(self) -> None:
        """Store what was submitted, until cancelled."""
        await self._commit.run()

    async def _keep(self, signals: Sequence[Signal]) -> None:
        # Of one region the last word counts.
        signals = list({each.region: each for each in signals}.values())
        await self._store.store(signals)
        await self._effects.follow(signals)


def read_signal(content: bytes, region: str) -> Signal:
    """The signal in what a region signed; raises Invalid on something else, Denied on one of another region."""
    try:
        said = SignalRequest.FromString(content)
    except DecodeError as error:
        raise Invalid("What is signed is no SignalRequest", reason="MALFORMED", field="signed.content") from error
    check_known(said)
    check_content(said)
    if said.region != region:
        raise Denied(f"The flags are of region {said.region[:64]!r}, and this is {region}", reason=WRONG_REGION)
    sent_at = seconds(said.send_time)
    period = seconds(said.period) if said.HasField("period") else USUAL_PERIOD
    return Signal(region, said.flags, sent_at, said.versions, period)


def check_signal(signal: Signal) -> None:
    """Raise Invalid naming the field of a signal that cannot be stored."""
    check_length(len(signal.flags), 0, MOST_FLAGS, "flags", "items")
    check_length(len(signal.versions), 0, MOST_FLAGS, "versions", "items")
    if signal.sent_at <= 0:
        raise Invalid("send_time is missing", field="send_time")
    if not 0 < signal.period <= LONGEST_PERIOD:
        raise Invalid(
            f"period is {signal.period:g} s; expected more than 0 and at most {LONGEST_PERIOD:g}", field="period"
        )
    for key, version in signal.versions.items():
        check_length(len(key), 1, 63, "versions")
        check_length(len(version), 0, 100, f"versions[{key}]")
    seen: set[str] = set()
    for index, flag in enumerate(signal.flags):
        _check_flag(flag, f"flags[{index}]")
        if flag.component in seen:
            raise Invalid(f"flags[{index}].component is {flag.component!r} a second time", field="flags")
        seen.add(flag.component)


def _check_flag(flag: Flag, where: str) -> None:
    check_name(flag.component, f"{where}.component")
    if flag.status not in HealthStatus.values() or flag.status <= HealthStatus.HEALTH_STATUS_HEALTHY:
        raise Invalid(f"{where}.status is {flag.status}; expected 2 to 4", field=f"{where}.status")
    if flag.severity not in FlagSeverity.values() or not flag.severity:
        raise Invalid(f"{where}.severity is {flag.severity}; expected 1 to 3", field=f"{where}.severity")
    check_length(len(flag.region), 0, 0, f"{where}.region")
    check_length(len(flag.effects), 0, 0, f"{where}.effects", "items")
    check_length(len(flag.reason), 1, 100, f"{where}.reason")
    check_length(len(flag.message), 0, 2000, f"{where}.message")
    check_length(len(flag.correlation_id), 0, 64, f"{where}.correlation_id")
    check_length(len(flag.evidence), 0, 32, f"{where}.evidence", "items")
    check_length(len(flag.consequences), 0, 64, f"{where}.consequences", "items")
    for number, item in enumerate(flag.evidence):
        check_length(len(item.name), 1, 200, f"{where}.evidence[{number}].name")
        check_length(len(item.value), 0, 500, f"{where}.evidence[{number}].value")
    for number, text in enumerate(flag.consequences):
        check_length(len(text), 1, 200, f"{where}.consequences[{number}]")
