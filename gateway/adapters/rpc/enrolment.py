"""EnrolmentService: how a region gets its identity, becomes known, and loses its identity again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import grpc
from orbital.v1 import enrolment_pb2 as pb
from orbital.v1.enrolment_pb2_grpc import EnrolmentServiceServicer

from gateway.adapters.rpc.caller import caller, calling_region
from gateway.domain.enrolment import declared
from gateway.ports.enrolment import Enrolling
from gateway.ports.revocation import RevocationList
from gateway.ports.serving import Prover, ReadStore
from runtime.errors import Unavailable
from runtime.fields import check_length
from runtime.logs import get_logger

log = get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
MAX_REQUEST = 4096  # bytes; a request to certify a key of P-256 has 500


class EnrolmentRpc(EnrolmentServiceServicer):
    """See enrolment.proto."""

    def __init__(
        self,
        reads: ReadStore,
        prover: Prover,
        revocations: RevocationList,
        flow: Enrolling | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._reads = reads
        self._prover = prover
        self._revocations = revocations
        self._flow = flow
        self._clock = clock

    async def Enrol(self, request: pb.EnrolRequest, context: Context) -> pb.EnrolResponse:
        """See enrolment.proto."""
        _, region = calling_region(context, request.region)
        check_length(len(request.version), 0, 100, "version")
        check_length(len(request.process), 0, 100, "process")
        known = declared(await self._reads.resource(f"regions/{region}"), region)
        log.info("enrolled", region=region, version=request.version, region_process=request.process)
        answer = pb.EnrolResponse(labels=known.labels)
        answer.time.FromDatetime(self._clock())
        return answer

    async def Certify(self, request: pb.CertifyRequest, context: Context) -> pb.CertifyResponse:
        """See enrolment.proto."""
        _, region = calling_region(context, request.region)
        check_length(len(request.signing_request), 1, MAX_REQUEST, "signing_request", "bytes")
        certified = await self._prover.certify(region, request.signing_request)
        log.info("receipts_certified", region=region, ends_at=certified.ends_at.isoformat())
        answer = pb.CertifyResponse(certificate=certified.certificate)
        answer.expire_time.FromDatetime(certified.ends_at)
        return answer

    async def Invite(self, request: pb.InviteRequest, context: Context) -> pb.InviteResponse:
        """See enrolment.proto."""
        invitation = await self._open().invite(request.region, caller(context))
        answer = pb.InviteResponse(token=invitation.token)
        answer.expire_time.FromDatetime(invitation.ends_at)
        return answer

    async def Redeem(self, request: pb.RedeemRequest, context: Context) -> pb.RedeemResponse:
        """See enrolment.proto."""
        check_length(len(request.signing_request), 1, MAX_REQUEST, "signing_request", "bytes")
        certified, secret = await self._open().redeem(request.region, request.token, request.signing_request)
        answer = pb.RedeemResponse(certificates=[certified.certificate, *certified.chain], secret_id=secret)
        answer.expire_time.FromDatetime(certified.ends_at)
        return answer

    async def Revoke(self, request: pb.RevokeRequest, context: Context) -> pb.RevokeResponse:
        """See enrolment.proto."""
        who = caller(context)
        declared(await self._reads.resource(f"regions/{request.region}"), request.region)
        mark = await self._revocations.revoke(request.region, request.reason, who)
        answer = pb.RevokeResponse(already_revoked=mark is None)
        if mark is not None:
            answer.revoke_time.FromDatetime(mark.revoked_at)
        return answer

    def _open(self) -> Enrolling:
        if self._flow is None:
            raise Unavailable("This gateway has no authority that could certify a key", reason="NO_AUTHORITY")
        return self._flow
