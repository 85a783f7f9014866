"""The way to the regions, put together: lane streams, and the stages that give them their tasks."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from gateway.adapters.mqtt.publisher import MqttPublisher
from gateway.adapters.postgres.database import Database
from gateway.adapters.postgres.faults import PostgresFaults
from gateway.adapters.postgres.holdings import PostgresHoldings
from gateway.adapters.postgres.hops import PostgresHops
from gateway.adapters.postgres.notifications import listen
from gateway.adapters.postgres.proofs import PostgresProofs
from gateway.adapters.postgres.state import PostgresState
from gateway.adapters.postgres.tasks import PostgresTasks
from gateway.adapters.rabbitmq.connection import Broker
from gateway.adapters.rabbitmq.lanes import RabbitLanes
from gateway.adapters.rabbitmq.probe import BrokerProbe
from gateway.adapters.rabbitmq.publisher import LanePublisher
from gateway.adapters.rabbitmq.topology import LaneTopology
from gateway.flow.announce import Announcements
from gateway.flow.audit import Audit
from gateway.flow.broker import BrokerWatch, LaneWatch
from gateway.flow.contacts import Contacts
from gateway.flow.deliver import Deliver, StreamSettings
from gateway.flow.detect import Detect
from gateway.flow.direct import IMMEDIATE, DirectPath, DirectPublisher, OpenStreams
from gateway.flow.dispatch import Dispatch
from gateway.flow.holdings import Holdings
from gateway.flow.hops import Hops, Stages
from gateway.flow.open_lanes import OpenLanes
from gateway.flow.security import Security
from gateway.flow.send import Sender
from gateway.flow.sources import LaneSources
from gateway.flow.state import States
from gateway.flow.stream_intake import StreamIntake
from gateway.ports.flags import QueueReader
from gateway.ports.lanes import Publisher
from gateway.ports.policy import Policy
from gateway.ports.serving import ReportIntake
from gateway.settings import GatewaySettings
from gateway.times import backoff, clock, new_correlation_id
from runtime.lifecycle import Supervisor
from runtime.progress import NOT_PROGRESSING, Hop, Rule
from runtime.signatures import PublicKeys, Signer
from runtime.watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class LaneContext:
    """What this process knows of its way to the regions, and what it tells them."""

    tasks: PostgresTasks
    faults: PostgresFaults
    streams: OpenStreams
    contacts: Contacts
    states: States
    holdings: Holdings
    announcements: Announcements
    lanes: OpenLanes


def make_lane_context(
    settings: GatewaySettings,
    database: Database,
    tasks: PostgresTasks,
    keys: PublicKeys,
    security: Security,
    audit: Audit,
) -> LaneContext:
    """The way to the regions, as all lanes of this process know it."""
    held = PostgresHoldings(database, settings.name, new_correlation_id)
    holdings = Holdings(
        store=held,
        certificates=PostgresProofs(database),
        keys=keys,
        security=security,
        newest=audit.newest_head,
        entropy=new_correlation_id,
    )
    contacts, states = Contacts(tasks), States(PostgresState(database))
    return LaneContext(
        tasks=tasks,
        faults=PostgresFaults(database, settings.name),
        streams=OpenStreams(settings.flow.direct_seconds, time.monotonic),
        contacts=contacts,
        states=states,
        holdings=holdings,
        announcements=Announcements(
            contacts=contacts,
            states=states,
            holdings=holdings,
            audit_head=audit.newest_head,
            clock=clock,
            lifetime=settings.flow.stream_seconds,
        ),
        lanes=OpenLanes(),
    )


def make_deliver(
    settings: GatewaySettings,
    broker: Broker,
    context: LaneContext,
    reports: ReportIntake,
    security: Security,
    ended: Callable[[str], Awaitable[None]],
) -> Deliver:
    """The lane streams of this process; `ended` raises Denied once a region is revoked."""
    flow = settings.flow
    sources = LaneSources(
        lanes=RabbitLanes(broker, settings.rabbitmq.queue_type),
        store=context.tasks,
        faults=context.faults,
        streams=context.streams,
        backoff=backoff,
        open_lanes=context.lanes,
    )
    return Deliver(
        sources=sources,
        intake=StreamIntake(
            reports=reports, security=security, states=context.states, holdings=context.holdings, backoff=backoff
        ),
        announcements=context.announcements,
        contacts=context.contacts,
        ended=ended,
        settings=StreamSettings(
            lanes=settings.lanes, beat=flow.beat_seconds, lifetime=flow.stream_seconds, grace=flow.grace_seconds
        ),
    )


def _publisher(settings: GatewaySettings, broker: Broker, lane: int) -> Publisher:
    rabbit = settings.rabbitmq
    topology = LaneTopology(broker, rabbit.queue_type)
    seconds, immediate = rabbit.confirm_seconds, rabbit.confirm_immediate_seconds
    if rabbit.mqtt is None:
        return LanePublisher(topology, seconds=seconds, immediate=immediate)
    client = f"orbital.gateway.{settings.name}.{lane}"
    return MqttPublisher(rabbit.mqtt, topology, client, seconds=seconds, immediate=immediate)


def start_lanes(
    settings: GatewaySettings,
    supervisor: Supervisor,
    database: Database,
    policy: Policy,
    broker: Broker,
    context: LaneContext,
    queues: QueueReader,
) -> None:
    """Keep what is known of the way; detect and dispatch, each lane by itself, woken by the database."""
    flow, faults, streams = settings.flow, context.faults, context.streams
    supervisor.start("contacts", partial(context.contacts.run, flow.beat_seconds))
    supervisor.start("holdings", partial(context.holdings.run, flow.beat_seconds / 2))
    supervisor.start("states", partial(context.states.run, flow.beat_seconds / 2))
    supervisor.start("broker", BrokerWatch(BrokerProbe(broker), faults).run)
    signer = Signer(settings.signing_file, time.time)
    detects: dict[str, Detect] = {}
    dispatches: dict[str, Dispatch] = {}
    stages: list[Stages] = []
    for lane in sorted(settings.lanes):
        publisher = DirectPublisher(_publisher(settings, broker, lane), streams)
        dispatch = Dispatch(
            lane=lane,
            store=context.tasks,
            policy=policy,
            sender=Sender(publisher=publisher, signer=signer, most=flow.message_tasks),
            claim=flow.claim_batch,
            direct=DirectPath(streams.regions, faults.call_direct) if lane == IMMEDIATE else None,
        )
        watch = LaneWatch(_publisher(settings, broker, lane), faults, lane, dispatch.wake.set)
        supervisor.start(f"lane {lane} faults", watch.run)
        dispatches[str(lane)] = dispatch
        detects[str(lane)] = Detect(context.tasks, lane, flow.detect_batch, dispatch.wake.set)
        supervisor.start(f"dispatch {lane}", partial(dispatch.run, flow.detect_seconds, backoff()))
        supervisor.start(f"detect {lane}", partial(detects[str(lane)].run, flow.detect_seconds, backoff()))

        stages.append(
            Stages(
                lane=lane,
                detect=detects[str(lane)],
                dispatch=dispatch,
                restart=lambda part: supervisor.restart(part, NOT_PROGRESSING),
            )
        )
    start_watchdog(
        settings,
        supervisor,
        Hops(store=PostgresHops(database), stages=stages, lanes=context.lanes, queues=queues, faults=faults),
    )

    def heard(said: str) -> None:
        lane, _, released = said.partition(" ")
        if released and lane in dispatches:
            dispatches[lane].wake.set()
            return
        for name, detect in detects.items():
            if lane in ("", name):
                detect.wake.set()

    supervisor.start("lane news", lambda: listen(database, "orbital_lane", heard))


def start_watchdog(settings: GatewaySettings, supervisor: Supervisor, hops: Hops) -> None:
    """Have what does not move started again, and say where that does not help."""
    rule = Rule(bound=settings.flow.stuck_seconds, pause=settings.flow.stuck_seconds / 2)
    watchdog = Watchdog(looks=hops.looks, rules=dict.fromkeys(Hop, rule), tell=hops.tell)
    supervisor.start("hops", watchdog.run)
