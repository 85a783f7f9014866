"""A process of a region, put together. `python -m region.main`; the settings are in region/settings.py."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from orbital.v1 import crypto_pb2, crypto_pb2_grpc, inspect_pb2, inspect_pb2_grpc, verify_pb2, verify_pb2_grpc

from region.adapters.edge.bundle import load_packer
from region.adapters.edge.server import EdgeServer, serve_edges
from region.adapters.edge.store import open_edge_store
from region.adapters.hsm.process import HsmProcess, open_hsm
from region.adapters.identity.enroller import GrpcEnroller
from region.adapters.identity.files import FileIdentityStore
from region.adapters.identity.oauth import ClientCredentials
from region.adapters.identity.token_file import write_token
from region.adapters.journal.other import OtherJournalReader
from region.adapters.journal.sqlite import SqliteJournal, open_journal
from region.adapters.l1.providers import open_providers
from region.adapters.opa.policy import open_policy
from region.adapters.openbao.audit import AuditFile
from region.adapters.openbao.permits import BaoPermits
from region.adapters.openbao.store import KvStore
from region.adapters.openbao.tokens import BaoTokens
from region.adapters.openbao.transit import BaoTransit
from region.adapters.rpc.crypto import CryptoRpc
from region.adapters.rpc.inspect import InspectRpc
from region.adapters.rpc.verify import VerifyRpc
from region.adapters.stream.gateway import GrpcGateway
from region.domain.edge import EdgeLimits
from region.domain.usage import Usage
from region.flow.bearer import keep_bearer
from region.flow.certify import certify
from region.flow.edge import Distribution, EdgeFleet, EdgeObservation, ServedBundle, recall_kills
from region.flow.enrol import enrol
from region.flow.identity import enrol_with_token
from region.flow.inspect import Inspect, MonitoredProvider
from region.flow.key_access import KeyAccess
from region.flow.keyring import Keyring
from region.flow.lane_journal import LaneJournal
from region.flow.lease import Heartbeats
from region.flow.marks import StateMarks
from region.flow.owners import Owners
from region.flow.prune import prune
from region.flow.receipts import Receipts
from region.flow.reconcile import Reconciler, ReconcileRate
from region.flow.run_handlers import HandlerRunner
from region.flow.serve import Serve
from region.flow.signals import LaneWakeups, Wakeup
from region.flow.verify import Verify
from region.handlers.parts import Parts
from region.handlers.table import HANDLERS
from region.lanes import LaneContext, load_control, make_watchdog, start_executors, start_streams
from region.ports.host import Host, real_host
from region.ports.identity import Tokens
from region.ports.inspecting import ProviderTrial
from region.ports.vault import Store, Transit
from region.settings import (
    EdgeServeSettings,
    HsmSettings,
    IasSettings,
    OpenBaoSettings,
    RegionSettings,
    TokensOpenBaoSettings,
)
from runtime.lifecycle import Supervisor, run
from runtime.logs import setup_logs
from runtime.openbao import Login, OpenBao, open_openbao
from runtime.rpc import Server
from runtime.signatures import Signer
from runtime.signers import open_public_keys
from runtime.signing import BaoSigner

VERIFY = verify_pb2.DESCRIPTOR.services_by_name["VerifyService"].full_name
INSPECT = inspect_pb2.DESCRIPTOR.services_by_name["InspectService"].full_name
CRYPTO = crypto_pb2.DESCRIPTOR.services_by_name["CryptoService"].full_name
BEAT_KEPT_EVERY = 10.0
# The lowest lanes of the region's processes, by which they are called.
IMMEDIATE, BULK = 0, 1
RECEIPT_KEY = "receipts"


def _login(settings: OpenBaoSettings | TokensOpenBaoSettings) -> Login:
    return Login(settings.address, settings.ca_file, settings.role_id_file, settings.secret_id_file)


def _marks(settings: RegionSettings, store: Store, journal: SqliteJournal, host: Host, keyring: Keyring) -> StateMarks:
    """How far this process's state is; its journal keeps no effect without it."""
    # The process that serves reads the other one's journal, too.
    others = dict(zip([BULK], map(OtherJournalReader, settings.journals), strict=False))
    journal.marker = marks = StateMarks(
        process=min(settings.lanes), store=store, journal=journal, host=host, others=others, forget=keyring.clear
    )
    return marks


def _receipts(settings: RegionSettings, journal: SqliteJournal, signer: BaoSigner, host: Host) -> Receipts:
    return Receipts(
        region=settings.region,
        journal=journal,
        signer=signer,
        audit=AuditFile(settings.openbao.audit_file),
        host=host,
    )


def _owners(
    settings: RegionSettings, journal: SqliteJournal, parts: Parts, receipts: Receipts, reports: Wakeup
) -> Owners:
    return Owners(
        region=settings.region,
        journal=journal,
        parts=parts,
        receipts=receipts,
        reports=reports,
        seconds=settings.l1_seconds,
    )


def _version() -> str:
    try:
        return version("orbital")
    except PackageNotFoundError:
        return "checkout"


def _hsm(settings: HsmSettings, host: Host) -> AbstractAsyncContextManager[HsmProcess]:
    return open_hsm(
        settings.library,
        settings.token,
        settings.pin_file,
        settings.conf,
        host,
        generate_missing=settings.generate_missing,
    )


async def _parts(
    stack: AsyncExitStack,
    settings: RegionSettings,
    openbao: OpenBao,
    hsm: HsmProcess,
    permits: BaoPermits,
    keyring: Keyring,
    host: Host,
) -> Parts:
    """What the handlers work with."""
    return Parts(
        store=KvStore(openbao, settings.openbao.store),
        transit=BaoTransit(openbao, settings.openbao.transit, host),
        hsm=hsm,
        cache=keyring,
        host=host,
        edges=await stack.enter_async_context(open_edge_store(settings.edge.store)),
        permits=permits,
        providers=await open_providers(settings.l1, stack),
    )


async def main() -> None:
    """Serve the lanes of the settings until cancelled."""
    settings: RegionSettings = RegionSettings.load()
    setup_logs(settings.name, settings.log_level)
    host = real_host()
    async with AsyncExitStack() as stack:
        # The region's real parts; none of them has to be there yet.
        journal = await stack.enter_async_context(open_journal(settings.journal))
        openbao = await stack.enter_async_context(open_openbao(_login(settings.openbao)))
        policy = await stack.enter_async_context(open_policy(settings.opa.url, settings.region))
        hsm = await stack.enter_async_context(_hsm(settings.hsm, host))
        public_keys = await stack.enter_async_context(open_public_keys(settings.opa.url))
        gateway = GrpcGateway(settings.gateway, settings.region)
        keyring = Keyring(host, settings.serve.cache_seconds, settings.serve.cache_size)
        permits = BaoPermits(openbao)
        parts = await _parts(stack, settings, openbao, hsm, permits, keyring, host)
        signer = BaoSigner(openbao, settings.openbao.signing, RECEIPT_KEY)
        receipts = _receipts(settings, journal, signer, host)
        marks = _marks(settings, parts.store, journal, host, keyring)
        usage, heartbeats = Usage(host.now()), Heartbeats(journal, host, BEAT_KEPT_EVERY)
        await heartbeats.load()

        # What it serves.
        signals = {lane: LaneWakeups() for lane in settings.lanes}
        owners = _owners(settings, journal, parts, receipts, signals[min(signals)].reports)
        providers = _providers(settings, hsm, owners)
        reconciler = _reconciler(settings, parts, marks)
        lanes = [LaneJournal(lane=number, journal=journal, signals=signals, host=host) for number in sorted(signals)]
        inspect = Inspect(
            version=_version(), lanes=lanes, providers=providers, marks=marks, found=reconciler.found, host=host
        )
        seen, suspect = owners.seen, reconciler.suspect
        access = KeyAccess(parts=parts, keyring=keyring, heartbeats=heartbeats, proof=marks, seen=seen, suspect=suspect)
        serve = Serve(access=access, host=host, usage=usage)
        verify = Verify(parts, [journal, *map(OtherJournalReader, settings.journals)])
        await _serve(stack, settings, InspectRpc(inspect), CryptoRpc(serve), VerifyRpc(verify, journal))
        edges = await _serve_edges(stack, settings.edge.serve, parts, gateway, usage) if settings.edge.serve else {}

        # What it does: receive and report on each lane's stream, execute beside it.
        control = await load_control(settings, journal, heartbeats, marks)
        supervisor = Supervisor(await stack.enter_async_context(asyncio.TaskGroup()), host.random)
        context = LaneContext(
            gateway=gateway, keys=public_keys, journal=journal, signer=Signer(settings.signing_file, host.now)
        )
        start_streams(supervisor, settings, lanes, context, control, host)
        runner = HandlerRunner(handlers=HANDLERS, parts=parts, receipts=receipts, patience=settings.execute.patience)
        start_executors(supervisor, settings, lanes, policy, runner, host)
        certifying = partial(certify, gateway, signer, settings.region, host)
        _start_keys(supervisor, settings.lanes, parts.transit, certifying, owners, reconciler)
        running = {"public-keys": public_keys.run, "lease": heartbeats.run, "keyring": keyring.run, "marks": marks.run}
        running["hops"] = make_watchdog(settings, lanes, supervisor.restart, host).run
        for name, part in {"permits": permits.run, **running, **edges}.items():
            supervisor.start(name, part)
        supervisor.start("prune", lambda: prune(journal, host, settings.keep_hours))
        _start_identity(supervisor, settings, host)
        await enrol(gateway, _version(), settings.name, host, lambda: _ready(settings))
        control.contact.made()


def _providers(settings: RegionSettings, hsm: HsmProcess, owners: Owners) -> Mapping[str, ProviderTrial]:
    return {"hsm": hsm, **{name: MonitoredProvider(name, owners) for name in settings.l1}}


def _reconciler(settings: RegionSettings, parts: Parts, marks: StateMarks) -> Reconciler:
    rate = ReconcileRate(settings.reconcile.rate, settings.reconcile.rest)
    return Reconciler(parts, rate, lambda: marks.recovering)


def _start_keys(
    supervisor: Supervisor,
    lanes: frozenset[int],
    transit: Transit,
    certifying: Callable[[], Awaitable[None]],
    owners: Owners,
    reconciler: Reconciler,
) -> None:
    """Prepare for Links and certify the key of receipts in one process; look after all keys in the other."""
    if lanes - {IMMEDIATE}:
        # OpenBao takes seconds to answer this the first time; the first Link should not wait for it.
        supervisor.start("prepare", transit.prepare_import)
        supervisor.start("certify", certifying)
    if IMMEDIATE in lanes:
        supervisor.start("owners", owners.run)
        supervisor.start("reconcile", reconciler.run)


def _start_identity(supervisor: Supervisor, settings: RegionSettings, host: Host) -> None:
    """Keep the region's token fresh, and take the identity that a one-time token gives, where this process does."""
    fresh, ias, enrolment = Wakeup(), settings.ias, settings.enrolment
    if ias:
        tokens, put = _tokens(ias), partial(write_token, ias.token_file)
        supervisor.start("bearer", lambda: keep_bearer(tokens, put, host, fresh))
    if enrolment:
        enroller = GrpcEnroller(enrolment.gateway, enrolment.ca_file, settings.region)
        # Another issuer's credentials are not the gateway's to give.
        secret = ias.openbao.secret_id_file if ias and ias.openbao else None
        identity_store = FileIdentityStore(enrolment.token_file, enrolment.identity, enrolment.ca_file, secret)
        supervisor.start("identity", lambda: enrol_with_token(enroller, identity_store, host, fresh.give))


def _tokens(settings: IasSettings) -> Tokens:
    if settings.openbao is not None:
        return BaoTokens(_login(settings.openbao), settings.openbao.role)
    oauth = settings.oauth
    assert oauth is not None
    return ClientCredentials(
        address=oauth.address,
        ca_file=oauth.ca_file,
        client_id=oauth.client_id,
        secret_file=oauth.client_secret_file,
        more=oauth.parameters,
    )


async def _serve(
    stack: AsyncExitStack, settings: RegionSettings, inspect: InspectRpc, crypto: CryptoRpc, verify: VerifyRpc
) -> None:
    """Serve gRPC until the stack unwinds, where this process does; keys are served where `listen` is set."""
    listen, keys = settings.listen or settings.health, bool(settings.listen)
    if not listen:
        return
    server = Server(listen, [CRYPTO, INSPECT, VERIFY] if keys else [INSPECT], streams=settings.serve.streams)
    if keys:
        crypto_pb2_grpc.add_CryptoServiceServicer_to_server(crypto, server.grpc)
        verify_pb2_grpc.add_VerifyServiceServicer_to_server(verify, server.grpc)
    inspect_pb2_grpc.add_InspectServiceServicer_to_server(inspect, server.grpc)
    await stack.enter_async_context(server.running())
    await server.serving(True)


async def _serve_edges(
    stack: AsyncExitStack, settings: EdgeServeSettings, parts: Parts, gateway: GrpcGateway, usage: Usage
) -> dict[str, Callable[[], Awaitable[None]]]:
    """Serve the region's edges until the stack unwinds; what has to run for that, by name."""
    packer = load_packer(settings.policy, settings.key_file)
    served, fleet = ServedBundle(), EdgeFleet(parts.host, EdgeLimits(settings.drift_seconds, settings.silent_seconds))
    distribution = Distribution(parts.edges, packer, served, fleet)
    await stack.enter_async_context(serve_edges(settings.listen, EdgeServer(served, fleet, parts.host.now)))
    return {
        "edge-bundle": distribution.run,
        "edge-kills": lambda: recall_kills(parts),
        "edge-observation": EdgeObservation(fleet, usage, gateway, parts.host).run,
    }


def _ready(settings: RegionSettings) -> None:
    if settings.ready_file:
        settings.ready_file.touch(mode=0o600)


if __name__ == "__main__":
    run(main)
