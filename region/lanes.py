"""The lanes of a process, put together: each receives and reports on its stream, and executes beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orbital.v1.resource_pb2 import Transport

from region.adapters.amqp.inbound import AmqpInbound
from region.adapters.broker import Broker
from region.adapters.mqtt.inbound import MqttInbound
from region.flow.control_plane import ControlPlane
from region.flow.execute import ExecuteSettings, Executor
from region.flow.holdings import Holdings
from region.flow.hops import Hops, rules
from region.flow.in_flight import Scopes
from region.flow.lane import Lane, LaneSettings
from region.flow.lane_journal import LaneJournal
from region.flow.lane_traffic import LaneTraffic
from region.flow.lease import Heartbeats
from region.flow.marks import StateMarks
from region.flow.receive import BatchReader, Receiver
from region.flow.report import Linger, Reporter
from region.flow.run_handlers import HandlerRunner
from region.flow.signals import Contact
from region.flow.transport import PathEvents, PathReader, load_choice
from region.ports.gateway import Gateway
from region.ports.host import Host
from region.ports.inbound import Inbound
from region.ports.journal import Journal
from region.ports.policy import Policy
from region.ports.signing import Signs, Verifies
from region.settings import RegionSettings
from runtime.lifecycle import Supervisor
from runtime.progress import NOT_PROGRESSING
from runtime.watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class LaneContext:
    """The two ends of every stream: the gateway, whose signatures `keys` check, and what the region answers from."""

    gateway: Gateway
    keys: Verifies
    journal: Journal
    signer: Signs


def inbounds(settings: RegionSettings) -> Sequence[Inbound]:
    """The paths beside the lane stream that are set up here."""
    broker = settings.broker
    if broker is None:
        return []

    def at(address: str) -> Broker:
        return Broker(
            address=address,
            ca_file=broker.ca_file,
            cert_file=broker.cert_file,
            key_file=broker.key_file,
            virtual_host=broker.virtual_host,
        )

    found: list[Inbound] = [AmqpInbound(at(broker.address), settings.region)]
    if broker.mqtt:
        found.append(MqttInbound(at(broker.mqtt), settings.region, broker.mqtt_version))
    return found


async def load_control(
    settings: RegionSettings, journal: Journal, heartbeats: Heartbeats, marks: StateMarks
) -> ControlPlane:
    """The control plane as it was last heard; its lanes begin with the path that was declared then."""
    choice = await load_choice(journal, frozenset(each.transport for each in inbounds(settings)))
    return ControlPlane(heartbeats=heartbeats, marks=marks, choice=choice, contact=Contact())


def start_streams(
    supervisor: Supervisor,
    settings: RegionSettings,
    lanes: Sequence[LaneJournal],
    context: LaneContext,
    control: ControlPlane,
    host: Host,
) -> None:
    """Receive and report on every lane's stream, and receive by the other paths when they are declared."""
    for lane in lanes:
        news = PathEvents()
        receiver = _receiver(settings, lane, context)
        for inbound in inbounds(settings):
            inflow = PathReader(
                inbound=inbound,
                choice=control.choice,
                receiver=receiver,
                news=news,
                credit=settings.stream.credit,
                host=host,
            )
            supervisor.start(f"{Transport.Name(inbound.transport)}-{lane.lane}", inflow.run)
        stream = Lane(
            region=settings.region,
            gateway=context.gateway,
            traffic=LaneTraffic(
                journal=lane,
                receiver=receiver,
                reporter=_reporter(settings, lane, context),
                holdings=Holdings(settings.region, context.journal, control.marks, context.signer),
                news=news,
                marks=control.marks,
            ),
            control=control,
            settings=LaneSettings(
                credit=settings.stream.credit, silence=settings.stream.beat * settings.stream.missed_beats
            ),
            host=host,
        )
        supervisor.start(f"lane-{lane.lane}", stream.run)


def make_watchdog(
    settings: RegionSettings, lanes: Sequence[LaneJournal], restart: Callable[[str, str], None], host: Host
) -> Watchdog:
    """What has the part of a hop that does not move started again."""
    hops = Hops(lanes=lanes, restart=lambda part: restart(part, NOT_PROGRESSING), host=host)
    return Watchdog(looks=hops.looks, rules=rules(settings.stuck_seconds, settings.execute.patience), tell=hops.tell)


def _receiver(settings: RegionSettings, lane: LaneJournal, context: LaneContext) -> Receiver:
    reader = BatchReader(region=settings.region, lane=lane.lane, keys=context.keys)
    return Receiver(reader=reader, journal=lane, merge=settings.stream.merge)


def _reporter(settings: RegionSettings, lane: LaneJournal, context: LaneContext) -> Reporter:
    return Reporter(
        region=settings.region,
        lane=lane.lane,
        journal=context.journal,
        signer=context.signer,
        signals=lane.signals,
        linger=Linger(settings.stream.linger, settings.stream.company),
    )


def start_executors(
    supervisor: Supervisor,
    settings: RegionSettings,
    lanes: Sequence[LaneJournal],
    policy: Policy,
    runner: HandlerRunner,
    host: Host,
) -> None:
    """Execute what is in every lane's journal; no two of them work on one scope at a time."""
    scopes, pace = Scopes(), settings.execute
    for lane in lanes:
        executor = Executor(
            journal=lane,
            policy=policy,
            runner=runner,
            scopes=scopes,
            settings=ExecuteSettings(batch=pace.batch, width=pace.width, tries=pace.tries, pause=pace.pause),
            host=host,
        )
        supervisor.start(f"execute-{lane.lane}", executor.run)
