"""Asks the region's OPA about a whole batch of tasks in one query."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
from orbital.v1 import task_pb2 as pb

from region.domain.intent import kind_name
from region.ports.policy import Decisions
from runtime.answers import read_answer
from runtime.errors import Invalid, Unavailable
from runtime.freshness import Freshness

PATH = "/v1/data/orbital/authz/execute/decisions"
TIMEOUT = 2.0


class OpaPolicy:
    """See region.ports.policy.Policy. Anything but a well-formed answer in time is Unavailable."""

    def __init__(self, session: aiohttp.ClientSession, url: str, region: str) -> None:
        self._session = session
        self._url = url.rstrip("/") + PATH
        self._region = region
        self._freshness = Freshness(session, url)

    async def decide(self, tasks: Sequence[pb.Task]) -> Decisions:
        """See the port."""
        asked = [
            {
                "id": task.id,
                "kind": kind_name(task.kind),
                "lane": task.lane,
                "region": task.region,
                "tenant": task.tenant,
                "resource": task.resource.name,
                "generation": task.resource.generation,
            }
            for task in tasks
        ]
        # Nothing about lane 0 waits for it, and no policy asks.
        age = await self._freshness.age() if any(task.lane for task in tasks) else None
        correlations = sorted({task.correlation_id for task in tasks})
        given = {"region": self._region, "policy_age": age, "correlations": correlations, "tasks": asked}
        body = orjson.dumps({"input": given})
        try:
            async with asyncio.timeout(TIMEOUT), self._session.post(self._url, data=body) as response:
                if response.status != 200:
                    raise Unavailable(f"The policy engine answered {response.status}", reason="POLICY_UNAVAILABLE")
                answer = orjson.loads(await read_answer(response))
        except (aiohttp.ClientError, OSError, TimeoutError, Invalid, orjson.JSONDecodeError) as error:
            raise Unavailable(
                "The policy engine does not answer; nothing passes until it does.", reason="POLICY_UNAVAILABLE"
            ) from error
        return read_decisions(answer)


def read_decisions(answer: Any) -> Decisions:
    """The decisions in OPA's answer; an undefined or misshapen result is Unavailable, never an allowance."""
    try:
        found = answer["result"]
        denied = {each["id"]: (str(each["reason"]), str(each["message"])) for each in found["denied"]}
        return Decisions(str(answer.get("decision_id", "")), frozenset(found["allowed"]), denied)
    except (KeyError, TypeError) as error:
        raise Unavailable("The policy engine has no decision", reason="POLICY_UNDEFINED") from error


@asynccontextmanager
async def open_policy(url: str, region: str) -> AsyncIterator[OpaPolicy]:
    """A policy on one pooled session."""
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers, trust_env=False) as session:
        yield OpaPolicy(session, url, region)
