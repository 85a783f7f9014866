"""A control plane and its regions: the flow of gateway and region as it is, on simulated parts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gateway.adapters.postgres.approval import PostgresApprovals
from gateway.adapters.postgres.audit import PostgresAudit
from gateway.adapters.postgres.desired import PostgresDesired
from gateway.adapters.postgres.faults import PostgresFaults
from gateway.adapters.postgres.holdings import PostgresHoldings
from gateway.adapters.postgres.proofs import PostgresProofs
from gateway.adapters.postgres.reports import PostgresReports
from gateway.adapters.postgres.security import PostgresSecurity
from gateway.adapters.postgres.state import PostgresState
from gateway.adapters.postgres.tasks import PostgresTasks
from gateway.domain.fuse import Fuse
from gateway.flow.announce import Announcements
from gateway.flow.approval import ApprovalFlow, SecondPerson
from gateway.flow.audit import Audit
from gateway.flow.contacts import Contacts
from gateway.flow.converge import Converge
from gateway.flow.deliver import Deliver, StreamSettings
from gateway.flow.desired import DeclarationFlow
from gateway.flow.detect import Detect
from gateway.flow.direct import DirectPath, DirectPublisher, OpenStreams
from gateway.flow.dispatch import Dispatch
from gateway.flow.holdings import Holdings
from gateway.flow.receipts import ReceiptCheck
from gateway.flow.report import ReportFlow
from gateway.flow.restore import RestoreTenant
from gateway.flow.security import Security, SignedReports
from gateway.flow.send import Sender
from gateway.flow.sources import LaneSources
from gateway.flow.state import States
from gateway.flow.stream_intake import StreamIntake
from region.adapters.edge.store import open_edge_store
from region.adapters.journal.other import OtherJournalReader
from region.adapters.journal.sqlite import open_journal
from region.domain.names import Kind, Name
from region.flow.control_plane import ControlPlane
from region.flow.execute import ExecuteSettings, Executor
from region.flow.holdings import Holdings as RegionHoldings
from region.flow.in_flight import Scopes
from region.flow.key_access import KeyAccess
from region.flow.keyring import Keyring
from region.flow.lane import Lane, LaneSettings
from region.flow.lane_journal import LaneJournal
from region.flow.lane_traffic import LaneTraffic
from region.flow.lease import Heartbeats
from region.flow.marks import StateMarks
from region.flow.receipts import Receipts
from region.flow.receive import BatchReader, Receiver
from region.flow.report import Linger, Reporter
from region.flow.run_handlers import HandlerRunner
from region.flow.serve import Serve
from region.flow.signals import Contact, LaneWakeups
from region.flow.transport import PathEvents, load_choice
from region.handlers.parts import Parts
from region.handlers.table import HANDLERS
from region.ports.host import Host
from runtime.lifecycle import Backoff, Supervisor
from runtime.signatures import GATEWAY, KeyFile, PublicKeys, Signer, make_key, region_identity
from tests.simulation.broker import Broker, BrokerClient
from tests.simulation.copies import HeadCertificates, HeadKey
from tests.simulation.database import SimulatedDatabase, SimulatedStore
from tests.simulation.engines import GatewayEngine, RegionEngine, away_if
from tests.simulation.link import Ledger, Link, Server
from tests.simulation.process import EPOCH, Died, Network, Process, Through
from tests.unit.region.fakes import FakeHsm, FakePermits, FakeStore, FakeTransit
from tests.unit.region.proving import FakeAudit, FakeSigner

LANES = {"immediate": (0,), "bulk": (1, 2)}
LONG = 1e12
BEAT = 2.0
HEAD = 4.0


class Keys:
    """Everybody's signing keys, and what verifies them."""

    def __init__(self, place: Path, regions: Sequence[str]) -> None:
        table: dict[str, Mapping[str, Any]] = {}
        self.signers: dict[str, Signer] = {}
        owners = {"gateway": GATEWAY, **{name: region_identity(name) for name in regions}}
        for name, owner in owners.items():
            file = KeyFile(owner, (make_key(0.0, LONG),))
            path = place / f"{name}.keys"
            path.write_bytes(file.dump())
            table |= file.public()
            self.signers[name] = Signer(path, lambda: 1.0)

        async def fetch() -> Mapping[str, Mapping[str, Any]]:
            return table

        self.public_keys = PublicKeys(fetch, lambda: 1.0)


@dataclass
class Site:
    """A region: what outlives its processes, and its processes."""

    name: str
    place: Path
    network: Network
    vault: FakeStore = field(default_factory=FakeStore)
    permits: FakePermits = field(default_factory=FakePermits)
    transit: FakeTransit = field(init=False)
    hsm: FakeHsm = field(default_factory=FakeHsm)
    signer: FakeSigner = field(default_factory=FakeSigner)
    policy: RegionEngine = field(default_factory=RegionEngine)
    sealed: bool = False
    processes: dict[str, Process] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    serving: Serve | None = None

    def __post_init__(self) -> None:
        self.transit = FakeTransit(self.permits)

    def journal(self, role: str) -> Path:
        """The journal of one of its processes."""
        return self.place / f"{self.name}-{role}.db"

    async def serves(self, tenant: str, system: str = "s0", service: str = "v0") -> str:
        """ "" when the region serves this key, or the reason why it does not."""
        from runtime.errors import OrbitalError

        if self.serving is None or self.processes["immediate"].over:
            return "PROCESS_DOWN"
        try:
            name = Name(Kind.SERVICE, tenant, system, service)
            await self.serving.wrap(name, b"k", b"")
        except OrbitalError as error:
            return error.reason
        except Died:
            return "PROCESS_DOWN"
        return ""


class Fleet:
    """All of it. Everything random comes from one seed."""

    def __init__(self, store: SimulatedStore, place: Path, seed: int, regions: int, *, audited: bool = False) -> None:
        # Whether the trail is sealed and its heads are signed: most schedules do without, since it takes time.
        self.audited = audited
        self.random = random.Random(seed)
        self.store = store
        self.broker = Broker()
        self.policy = GatewayEngine()
        self.network = Network(random.Random(self.random.random()))
        self.ledger = Ledger()
        self.sites = {name: self._site(place, name) for name in (f"r{number}" for number in range(regions))}
        self.keys = Keys(place, list(self.sites))
        self.gateways: dict[str, Process] = {}
        self.servers: dict[int, Server] = {}
        self.history: list[str] = []
        self.desired: DeclarationFlow
        self.approvals: ApprovalFlow
        self._changes = 0

    def _site(self, place: Path, name: str) -> Site:
        return Site(name, place, Network(random.Random(self.random.random())))

    def tell(self, what: str) -> None:
        """Keep a line of the history."""
        self.history.append(f"{asyncio.get_running_loop().time():9.3f}  {what}")

    def _process(self, name: str) -> Process:
        return Process(name, random.Random(self.random.random()))

    def new_id(self) -> str:
        """A correlation ID."""
        self._changes += 1
        return f"{self._changes:032x}"

    # The control plane ------------------------------------------------------------------------------------------------

    def start_gateway(self, role: str) -> None:
        """Start the process of these lanes, or start it again."""
        process = self._process(f"gateway-{role}")
        self.gateways[role] = process
        process.start(lambda: self._gateway(process, role))

    async def _gateway(self, process: Process, role: str) -> None:
        database = SimulatedDatabase(self.store, process)
        tasks, reports_store = PostgresTasks(database, process.name), PostgresReports(database)
        client = BrokerClient(self.broker, process, self.network)
        policy: Any = Through(self.policy, process, self.network, away_if(lambda: False, "POLICY_UNAVAILABLE"))
        receipts = ReceiptCheck(PostgresProofs(database))
        reports = ReportFlow(reports_store, tasks, policy, receipts, process.name, 2000)
        security = Security(PostgresSecurity(database), tasks)
        intake = SignedReports(reports, self.keys.public_keys, security)
        contacts, faults = Contacts(tasks), PostgresFaults(database, process.name)
        streams = OpenStreams(0.5, asyncio.get_running_loop().time)
        states = States(PostgresState(database))
        audit = Audit(PostgresAudit(database), HeadKey(), self._clock, HEAD)
        held = PostgresHoldings(database, process.name, self.new_id)
        keys: Any = self.keys.public_keys
        holdings = Holdings(held, HeadCertificates(), keys, security, audit.newest_head, self.new_id)
        wait = partial(_backoff, process)
        deliver = Deliver(
            sources=LaneSources(lanes=client, store=tasks, faults=faults, streams=streams, backoff=wait),
            intake=StreamIntake(reports=intake, security=security, states=states, holdings=holdings, backoff=wait),
            announcements=Announcements(
                contacts=contacts, states=states, holdings=holdings, audit_head=audit.newest_head, clock=self._clock,
                lifetime=600.0,
            ),
            contacts=contacts,
            ended=_never_revoked,
            settings=StreamSettings(lanes=frozenset(LANES[role]), beat=BEAT, lifetime=600.0, grace=3.0),
        )  # fmt: skip
        if role == "bulk":
            store, fuse = PostgresDesired(database, process.name), Fuse(share=1.0)
            self.desired = DeclarationFlow(store, self.new_id, fuse)
            subjects = {"restoration": RestoreTenant(store)}
            second_person = SecondPerson(policy, tasks, process.name)
            self.approvals = ApprovalFlow(PostgresApprovals(database), subjects, second_person, self.new_id, 900.0)
        for lane in LANES[role]:
            self.servers[lane] = Server(process, deliver, intake)
        async with asyncio.TaskGroup() as group:
            supervisor = Supervisor(group, process.random.random)
            supervisor.start("reports", reports.run)
            supervisor.start("contacts", lambda: contacts.run(BEAT))
            supervisor.start("states", lambda: states.run(BEAT / 2))
            supervisor.start("converge", lambda: Converge(reports_store).run(5.0, _backoff(process)))
            if self.audited:
                supervisor.start("audit", lambda: audit.run(lambda: _backoff(process)))
                supervisor.start("holdings", lambda: holdings.run(BEAT / 2))
            for lane in LANES[role]:
                publisher = DirectPublisher(client, streams)
                dispatch = Dispatch(
                    lane=lane,
                    store=tasks,
                    policy=policy,
                    sender=Sender(publisher=publisher, signer=self.keys.signers["gateway"], most=16),
                    claim=512,
                    direct=DirectPath(streams.regions, faults.call_direct) if lane == 0 else None,
                )
                self._start_lane(supervisor, process, dispatch, Detect(tasks, lane, 2000, dispatch.wake.set), lane)

    def _start_lane(
        self, supervisor: Supervisor, process: Process, dispatch: Dispatch, detect: Detect, lane: int
    ) -> None:
        def heard(said: str) -> None:
            (dispatch.wake if said.partition(" ")[2] else detect.wake).set()

        self.store.listen(process, "orbital_lane", heard)
        supervisor.start(f"dispatch {lane}", lambda: dispatch.run(5.0, _backoff(process)))
        supervisor.start(f"detect {lane}", lambda: detect.run(5.0, _backoff(process)))

    def _clock(self) -> Any:
        from datetime import UTC, datetime

        return datetime.fromtimestamp(EPOCH + asyncio.get_running_loop().time(), UTC)

    # Regions ----------------------------------------------------------------------------------------------------------

    def start_region(self, site: Site, role: str) -> None:
        """Start one of its processes, or start it again; what it holds in memory is gone."""
        before = site.links.get(role)
        if before is not None:
            before.break_streams()
        process = self._process(f"{site.name}-{role}")
        keeps = partial(self.ledger.acknowledged, site.journal(role))
        link = Link(site.name, process, site.network, self.servers.get, keeps)
        link.is_cut = before.is_cut if before else False
        site.processes[role], site.links[role] = process, link
        process.start(lambda: self._region(site, role, process, link))

    async def _region(self, site: Site, role: str, process: Process, link: Link) -> None:
        host = Host(process.now, process.random.random, process.random.randbytes, asyncio.sleep, process.steady)
        sealed = away_if(lambda: site.sealed, "OPENBAO_UNREACHABLE")

        def reached(part: Any) -> Any:
            return Through(part, process, site.network, sealed)

        async with (
            open_journal(site.journal(role)) as real,
            open_edge_store(site.place / f"{site.name}-edge.db") as edges,
        ):
            journal: Any = Through(real, process, _INSTANT, away_if(lambda: False, ""))
            keyring = Keyring(host, 5.0, 1000)
            store = site.vault.of_another_process()
            parts = Parts(
                reached(store), reached(site.transit), reached(site.hsm), keyring, host,
                Through(edges, process, _INSTANT, away_if(lambda: False, "")), reached(site.permits),
            )  # type: ignore[arg-type]  # fmt: skip
            others = {} if role == "bulk" else {1: OtherJournalReader(site.journal("bulk"))}
            marks = StateMarks(min(LANES[role]), reached(store), journal, host, others, keyring.clear)
            real.marker = marks
            heartbeats = Heartbeats(journal, host, 10.0)
            await heartbeats.load()
            if role == "immediate":
                site.serving = Serve(
                    access=KeyAccess(parts=parts, keyring=keyring, heartbeats=heartbeats, proof=marks), host=host
                )
            receipts = Receipts(site.name, journal, reached(site.signer), FakeAudit(), host)
            signals = {lane: LaneWakeups() for lane in LANES[role]}
            contact, choice, scopes = Contact(), await load_choice(journal, frozenset()), Scopes()
            async with asyncio.TaskGroup() as group:
                supervisor = Supervisor(group, process.random.random)
                for name, run in {"beats": heartbeats.run, "keyring": keyring.run, "marks": marks.run}.items():
                    supervisor.start(name, run)
                policy: Any = Through(site.policy, process, site.network, away_if(lambda: False, ""))
                runner = HandlerRunner(handlers=HANDLERS, parts=parts, receipts=receipts, patience=60.0)
                control = ControlPlane(heartbeats=heartbeats, marks=marks, choice=choice, contact=contact)
                for number in LANES[role]:
                    lane = LaneJournal(lane=number, journal=journal, signals=signals, host=host)
                    supervisor.start(f"lane-{number}", self._lane(site, link, lane, journal, control, host).run)
                    executor = Executor(
                        journal=lane, policy=policy, runner=runner, scopes=scopes,
                        settings=ExecuteSettings(batch=256, width=8), host=host,
                    )  # fmt: skip
                    supervisor.start(f"execute-{number}", executor.run)

    def _lane(self, site: Site, link: Link, lane: LaneJournal, journal: Any, control: ControlPlane, host: Host) -> Lane:
        signer, marks = self.keys.signers[site.name], control.marks
        reader = BatchReader(region=site.name, lane=lane.lane, keys=self.keys.public_keys)
        traffic = LaneTraffic(
            journal=lane,
            receiver=Receiver(reader=reader, journal=lane, merge=4),
            reporter=Reporter(site.name, lane.lane, journal, signer, lane.signals, Linger(0.005, 0.05)),
            holdings=RegionHoldings(site.name, journal, marks, signer),
            news=PathEvents(),
            marks=marks,
        )
        return Lane(
            region=site.name, gateway=link, traffic=traffic, control=control,
            settings=LaneSettings(credit=8, silence=6.0), host=host,
        )  # fmt: skip

    def start(self) -> None:
        """Everything."""
        for role in LANES:
            self.start_gateway(role)
        for site in self.sites.values():
            for role in LANES:
                self.start_region(site, role)

    def stop(self) -> None:
        """End all processes."""
        for process in [
            *self.gateways.values(),
            *(each for site in self.sites.values() for each in site.processes.values()),
        ]:
            process.crash()


_INSTANT = Network(random.Random(0), 0.0, 0.0)


def _backoff(process: Process) -> Backoff:
    return Backoff(process.random.random, 0.1, 1.0)


async def _never_revoked(_region: str) -> None:
    await asyncio.Event().wait()
