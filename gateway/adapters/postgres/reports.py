"""Observed state in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from orbital.v1.task_pb2 import Outcome

from gateway.adapters.postgres.database import Database
from gateway.adapters.postgres.targets import converge
from gateway.domain.report import TASK_STATES, RegionReport, pause_of, proves, redrive_after


def _time(stamp: Timestamp) -> float | None:
    return stamp.seconds + stamp.nanos * 1e-9 if stamp.seconds else None


def _task_row(item: RegionReport) -> tuple[object, ...]:
    report = item.report
    return (
        uuid.UUID(report.task_id),
        item.region,
        TASK_STATES[report.outcome],
        report.reason,
        report.message,
        report.decision_id,
        _time(report.received_at),
        _time(report.decided_at),
        _time(report.executed_at),
        pause_of(report),
        report.attempt,
    )


def _receipt_row(item: RegionReport) -> tuple[object, ...]:
    report = item.report
    names = (uuid.UUID(report.task_id), item.region, report.correlation_id, report.resource)
    return (*names, report.generation, report.kind, report.receipt, item.verified)


def _proof_row(item: RegionReport) -> tuple[object, ...]:
    report = item.report
    return (uuid.UUID(report.task_id), item.region, report.resource, report.generation, report.correlation_id)


def _arrival_rows(item: RegionReport) -> list[tuple[object, ...]]:
    task = uuid.UUID(item.report.task_id)
    return [(task, item.region, each.transport, _time(each.time)) for each in item.report.arrivals]


def _placement_row(item: RegionReport) -> tuple[object, ...]:
    report = item.report
    done = report.outcome == Outcome.OUTCOME_DONE
    return (
        report.resource,
        item.region,
        report.generation,
        report.observed_generation,
        done,
        report.key_state,
        report.key_version,
        report.reason,
        report.message,
        redrive_after(report),
        report.withdrawn,
        report.correlation_id,
        pause_of(report),
    )


class PostgresReports:
    """Implements `ReportStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def observe(self, tasks: Sequence[RegionReport], placements: Sequence[RegionReport]) -> None:
        """Record what regions reported, and close the jobs that have converged by it."""
        # Placements before tasks, as detection locks them, and each in one order: whoever waits holds nothing that is
        # waited for. PostgreSQL's planner may still choose another order, which makes deadlocks rare, not impossible.
        tasks = sorted(tasks, key=lambda item: item.report.task_id)
        placements = sorted(placements, key=lambda item: (item.report.resource, item.region))
        async with self._database.transaction("observe") as session:
            placement_rows = zip(*(_placement_row(item) for item in placements), strict=True)
            touched = await session.fetch("observe", *placement_rows)
            task_rows = zip(*(_task_row(item) for item in tasks), strict=True)
            await session.execute("finish_tasks", *task_rows)
            ended = {row["correlation_id"] for row in touched}
            receipts = [_receipt_row(item) for item in tasks if item.report.receipt]
            if receipts:
                await session.execute("keep_receipts", *zip(*receipts, strict=True))
            arrivals = [row for item in tasks for row in _arrival_rows(item)]
            if arrivals:
                await session.execute("keep_arrivals", *zip(*arrivals, strict=True))
            proofs = [_proof_row(item) for item in tasks if proves(item.report)]
            if proofs:
                fulfilled = await session.fetch("fulfil", *zip(*proofs, strict=True))
                ended |= {row["correlation_id"] for row in fulfilled}
            await converge(session, ended)

    async def converge_all(self) -> None:
        """End every change of which nothing is left to do, whatever notice of it was lost."""
        async with self._database.transaction("converge") as session:
            found = await session.fetch("unended")
            await converge(session, [row["correlation_id"] for row in found])
            await session.execute("remove_left")
