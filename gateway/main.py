"""A gateway process, from its settings to its last breath. Any number of replicas may run."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from gateway.adapters.broker.server import serve_access
from gateway.adapters.bundles.server import serve_bundles
from gateway.adapters.issuers.fetch import open_issuers
from gateway.adapters.issuers.key_files import KeyFiles
from gateway.adapters.issuers.server import serve_keys
from gateway.adapters.openbao.authority import BaoAuthority
from gateway.adapters.openbao.logins import BaoLogins, BaoWrapping
from gateway.adapters.postgres.audit import PostgresAudit
from gateway.adapters.postgres.backfill import open_store
from gateway.adapters.postgres.database import Database
from gateway.adapters.postgres.decommission import PostgresDecommission
from gateway.adapters.postgres.edges import PostgresEdges
from gateway.adapters.postgres.engines import PostgresEngines
from gateway.adapters.postgres.flags import PostgresFlags
from gateway.adapters.postgres.invitations import PostgresInvitations
from gateway.adapters.postgres.notifications import listen
from gateway.adapters.postgres.proofs import PostgresProofs
from gateway.adapters.postgres.reports import PostgresReports
from gateway.adapters.postgres.revocation import PostgresRevocations
from gateway.adapters.postgres.security import PostgresSecurity
from gateway.adapters.postgres.see import PostgresReads
from gateway.adapters.postgres.tasks import PostgresTasks
from gateway.adapters.rabbitmq.connection import Broker
from gateway.adapters.rabbitmq.management import open_management
from gateway.adapters.rabbitmq.queues import RabbitQueues
from gateway.adapters.rpc.approval import ApprovalRpc
from gateway.adapters.rpc.audit import AuditRpc
from gateway.adapters.rpc.caller import admission
from gateway.adapters.rpc.checker import CheckerRpc
from gateway.adapters.rpc.dispatch import DispatchRpc, ReportRpc
from gateway.adapters.rpc.edge import EdgeRpc
from gateway.adapters.rpc.enrolment import EnrolmentRpc
from gateway.adapters.rpc.parked import TaskRpc
from gateway.adapters.rpc.policy import PolicyRpc
from gateway.adapters.rpc.proof import ProofRpc
from gateway.adapters.rpc.registry import JobEvents, RegistryRpc
from gateway.adapters.rpc.services import serve
from gateway.adapters.rpc.trace import TraceRpc
from gateway.domain.allowance import Allowances
from gateway.flow.access import Access
from gateway.flow.audit import Audit
from gateway.flow.converge import Converge
from gateway.flow.decommission import QueueCleanup
from gateway.flow.effects import Effects
from gateway.flow.enrolment import Enrolment, Invitations
from gateway.flow.flags import AllFlags
from gateway.flow.keysets import KeySet
from gateway.flow.observe import ObserveFlow
from gateway.flow.proof import Proofs
from gateway.flow.receipts import ReceiptCheck
from gateway.flow.report import ReportFlow
from gateway.flow.revocation import ConnectionReaper, LoginRevoker, Revocations
from gateway.flow.security import Security, SignedReports, SignedSignals
from gateway.flow.signal import SignalFlow
from gateway.flow.wake import until_done
from gateway.intent import make_approvals, make_desired, make_parked
from gateway.lanes import make_deliver, make_lane_context, start_lanes
from gateway.settings import GatewaySettings
from gateway.times import backoff, clock
from runtime.lifecycle import Supervisor, end_within, run
from runtime.logs import get_logger, setup_logs
from runtime.openbao import Login, OpenBao, open_openbao
from runtime.policy import PolicyEngine, policy_engine
from runtime.signers import open_public_keys
from runtime.signing import BaoSigner

log = get_logger(__name__)

PROOF_KEY = "proofs"


async def main(settings: GatewaySettings) -> None:
    """Serve until cancelled. The end: stop serving, drain, stop the stages, close the pools."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_store(settings.postgres))
        policy = await stack.enter_async_context(policy_engine(settings.opa.url, settings.opa.seconds))
        reads, tasks = PostgresReads(database), PostgresTasks(database, settings.name)
        engines = PostgresEngines(database, settings.flow.decision_days)
        revocations = await load_revocations(database)
        security = Security(PostgresSecurity(database), tasks)
        served = await open_bundles(settings, stack, tasks, engines, revocations, security)
        publishing = Broker(settings.rabbitmq, f"{settings.name} publish", backoff())
        consuming = Broker(settings.rabbitmq, f"{settings.name} consume", backoff())
        reports = make_reports(settings, database, tasks, policy)
        public_keys = await stack.enter_async_context(open_public_keys(settings.opa.url, settings.opa.seconds))
        await open_access(settings, stack, policy, tasks, revocations)
        intake, news = SignedReports(reports, public_keys, security), JobEvents()
        flags, edges, queues = PostgresFlags(database), PostgresEdges(database), RabbitQueues(consuming)
        signals, observed = SignalFlow(flags, Effects(policy, flags)), ObserveFlow(edges)
        openbao, reaper = await open_platform(settings, stack), await open_reaper(settings, stack, revocations)
        proofs = make_proofs(settings, database, reads, openbao)
        enrolment = make_enrolment(settings, database, reads, openbao, security)
        audit = Audit(PostgresAudit(database), proofs, clock, settings.flow.head_seconds)
        context = make_lane_context(settings, database, tasks, public_keys, security, audit)
        desired, parked = make_desired(settings, database), make_parked(settings, database)
        all_flags = AllFlags(flags, context.faults)
        servicers = {
            "Approval": ApprovalRpc(make_approvals(settings, database, policy, tasks)),
            "Audit": AuditRpc(audit),
            "Checker": CheckerRpc(SignedSignals(signals, public_keys, security), queues, clock),
            "Dispatch": DispatchRpc(make_deliver(settings, consuming, context, intake, security, revocations.ended)),
            "Edge": EdgeRpc(observed),
            "Enrolment": EnrolmentRpc(reads=reads, prover=proofs, revocations=revocations, flow=enrolment, clock=clock),
            "Policy": PolicyRpc(engines, served),
            "Proof": ProofRpc(proofs),
            "Registry": RegistryRpc(
                desired=desired, reads=reads, flags=all_flags, edges=edges, news=news, revocations=revocations
            ),
            "Report": ReportRpc(intake),
            "Task": TaskRpc(parked),
            "Trace": TraceRpc(reads),
        }
        group = await stack.enter_async_context(asyncio.TaskGroup())
        supervisor = Supervisor(group, random.random)
        start_intake(supervisor, reports, signals, observed, engines)
        for name, run_part in {
            "publishing": publishing.run,
            "consuming": consuming.run,
            "public keys": public_keys.run,
            "proofs": lambda: proofs.run(backoff()),
            "audit": lambda: audit.run(backoff),
            "converge": lambda: Converge(PostgresReports(database)).run(settings.flow.detect_seconds, backoff()),
            "dismantling": lambda: QueueCleanup(PostgresDecommission(database, settings.name), queues).run(backoff()),
            "job news": lambda: listen(database, "orbital_job", news.heard),
        }.items():
            supervisor.start(name, run_part)
        await start_key_sets(settings, stack, supervisor)
        start_lanes(settings, supervisor, database, policy, publishing, context, queues)
        start_revocations(supervisor, database, revocations, reaper, openbao)
        await serve_on(settings, servicers, revocations, supervisor)


def make_reports(
    settings: GatewaySettings, database: Database, tasks: PostgresTasks, policy: PolicyEngine
) -> ReportFlow:
    """What regions report, with the receipts in it checked."""
    receipts = ReceiptCheck(PostgresProofs(database))
    return ReportFlow(
        store=PostgresReports(database),
        tasks=tasks,
        policy=policy,
        receipts=receipts,
        process=settings.name,
        most=settings.flow.report_batch,
    )


def start_intake(
    supervisor: Supervisor, reports: ReportFlow, signals: SignalFlow, observed: ObserveFlow, engines: PostgresEngines
) -> None:
    """Store what regions, checkers, edges and policy engines say."""
    supervisor.start("reports", reports.run)
    supervisor.start("signals", signals.run)
    supervisor.start("edges", observed.run)
    supervisor.start("engines", engines.run)


async def serve_on(
    settings: GatewaySettings, servicers: Mapping[str, object], revocations: Revocations, supervisor: Supervisor
) -> None:
    """Serve whoever is not revoked, until cancelled; health tells whether a part is failing."""
    changed = asyncio.Event()
    supervisor.changed = lambda _: changed.set()
    try:
        async with serve(settings.listen, servicers, admission(revocations), settings.limits.streams) as server:
            await server.serving(True)
            log.info("serving", lanes=sorted(settings.lanes))
            while True:
                changed.clear()
                await server.parts_well(not supervisor.failing)
                await changed.wait()
    finally:
        end_within(20)


async def open_access(
    settings: GatewaySettings,
    stack: AsyncExitStack,
    policy: PolicyEngine,
    tasks: PostgresTasks,
    revocations: Revocations,
) -> None:
    """Answer the broker, where this process does."""
    if settings.broker_access is not None:
        asked = settings.broker_access
        allowances = Allowances(asked.remember_seconds, asked.remember_most)
        access = Access(
            policy=policy,
            denials=tasks,
            process=settings.name,
            revoked=revocations.revoked,
            allowances=allowances,
            now=time.monotonic,
        )
        await stack.enter_async_context(serve_access(asked, access))


async def open_bundles(
    settings: GatewaySettings,
    stack: AsyncExitStack,
    tasks: PostgresTasks,
    engines: PostgresEngines,
    revocations: Revocations,
    security: Security,
) -> Callable[[], str]:
    """Serve the policy engines, where this process does; gives what tells the revision that is served."""
    if settings.http is None or settings.bundle is None:
        return str
    serving = serve_bundles(settings.http, settings.bundle, tasks, engines, admission(revocations), security.alarm)
    return (await stack.enter_async_context(serving)).revision


async def start_key_sets(settings: GatewaySettings, stack: AsyncExitStack, supervisor: Supervisor) -> None:
    """Keep the keys of the issuers and serve them to Envoy, where this process does."""
    given = settings.key_sets
    if given is None:
        return
    sources, store = await stack.enter_async_context(open_issuers(given.sources)), KeyFiles(given.place)
    sets = {
        name: KeySet(
            name=name,
            source=source,
            store=store,
            refresh_seconds=given.refresh_seconds,
            limit_seconds=given.limit_seconds,
            clock=time.monotonic,
        )
        for name, source in sources.items()
    }
    await stack.enter_async_context(serve_keys(given.listen, sets))
    for name, key_set in sets.items():
        supervisor.start(f"keys of {name}", key_set.run)


async def open_platform(settings: GatewaySettings, stack: AsyncExitStack) -> OpenBao | None:
    """The platform's OpenBao, where this process has it."""
    bao = settings.openbao
    if bao is None:
        return None
    login = Login(bao.address, bao.ca_file, bao.role_id_file, bao.secret_id_file)
    return await stack.enter_async_context(open_openbao(login))


def make_proofs(settings: GatewaySettings, database: Database, reads: PostgresReads, openbao: OpenBao | None) -> Proofs:
    """Proofs, which need an OpenBao where they are made and where keys are certified."""
    store, bao = PostgresProofs(database), settings.openbao
    if bao is None or openbao is None:
        return Proofs(store=store, reads=reads, authority=None, signer=None, clock=clock)
    signer = BaoSigner(openbao, bao.signing, PROOF_KEY)
    return Proofs(store=store, reads=reads, authority=BaoAuthority(openbao, bao.pki), signer=signer, clock=clock)


def make_enrolment(
    settings: GatewaySettings, database: Database, reads: PostgresReads, openbao: OpenBao | None, security: Security
) -> Enrolment | None:
    """Enrolment, where there is an OpenBao to issue identities."""
    bao = settings.openbao
    if bao is None or openbao is None:
        return None
    invitations = Invitations(
        store=PostgresInvitations(database),
        wrapping=BaoWrapping(openbao),
        clock=clock,
        seconds=settings.flow.invitation_seconds,
    )
    return Enrolment(
        invitations=invitations,
        reads=reads,
        logins=BaoLogins(openbao),
        authority=BaoAuthority(openbao, bao.pki, bao.region_hosts),
        security=security,
    )


async def open_reaper(
    settings: GatewaySettings, stack: AsyncExitStack, revocations: Revocations
) -> ConnectionReaper | None:
    """What puts revoked regions out of the broker, where this process may."""
    management = settings.rabbitmq.management
    if management is None:
        return None
    return ConnectionReaper(revocations, await stack.enter_async_context(open_management(management)))


async def load_revocations(database: Database) -> Revocations:
    """Who is refused, as it is stored now: nobody is served before it is known."""
    revocations = Revocations(PostgresRevocations(database))
    await until_done("revocations", revocations.load, backoff())
    return revocations


def start_revocations(
    supervisor: Supervisor,
    database: Database,
    revocations: Revocations,
    reaper: ConnectionReaper | None,
    openbao: OpenBao | None,
) -> None:
    """Know who is revoked, and carry it out where this process can."""
    supervisor.start("revocations", lambda: revocations.run(backoff()))
    if reaper is not None:
        supervisor.start("reaper", lambda: reaper.run(backoff))
    if openbao is not None:
        supervisor.start("logins", lambda: LoginRevoker(revocations, BaoLogins(openbao)).run(backoff()))
    supervisor.start("revocation news", lambda: listen(database, "orbital_standing", lambda _: revocations.wake.set()))


if __name__ == "__main__":
    loaded = GatewaySettings.load()
    setup_logs(loaded.name, loaded.log_level)
    run(lambda: main(loaded))
