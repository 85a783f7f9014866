"""Asks OPA about many tasks in one query, and treats every doubt as a refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from runtime.answers import read_answer
from runtime.errors import Invalid, Unavailable
from runtime.freshness import Freshness


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a policy refused: a stable reason and a sentence."""

    reason: str
    message: str


# Reasons for which a task is not refused but held: it goes on by itself when they pass.
HELD = frozenset({"FROZEN", "STALE_POLICY"})
NO_ANSWER = Refusal("POLICY_UNDEFINED", "The policy gave no answer for it, which counts as a refusal")


@dataclass(frozen=True, slots=True)
class Decisions:
    """A policy's answer for a batch."""

    decision_id: str
    refused: Mapping[str, Refusal]

    def allows(self, identity: str) -> bool:
        """Whether the policy allowed the item of this ID."""
        return identity not in self.refused


def read_decisions(answer: Mapping[str, Any], identities: Sequence[str]) -> Decisions:
    """Decisions for exactly these IDs: whatever is not explicitly allowed is refused."""
    result = answer.get("result") or {}
    allowed = set(result.get("allowed", ()))
    said = {item["id"]: Refusal(item["reason"], item["message"]) for item in result.get("denied", ())}
    refused = {
        identity: said.get(identity, NO_ANSWER)
        for identity in identities
        if identity not in allowed or identity in said
    }
    return Decisions(str(answer.get("decision_id", "")), refused)


class PolicyEngine:
    """The OPA beside this process."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url.rstrip('/')}/v1/data/orbital/authz"
        self._freshness = Freshness(session, url)

    async def policy_age(self) -> float | None:
        """Seconds since the engine could confirm its bundle; None when it does not say."""
        return await self._freshness.age()

    async def decide(self, policy: str, question: Mapping[str, Any], identities: Sequence[str]) -> Decisions:
        """Ask `orbital.authz.<policy>.decisions` once; raises Unavailable when OPA does not answer in time."""
        try:
            body = orjson.dumps({"input": question})
            async with self._session.post(f"{self._url}/{policy}/decisions", data=body) as response:
                response.raise_for_status()
                answer = orjson.loads(await read_answer(response))
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError, Invalid) as error:
            raise Unavailable(
                "The policy engine does not answer; nothing passes until it does", reason="POLICY_UNAVAILABLE"
            ) from error
        if "result" not in answer:
            raise Unavailable(
                "The policy engine has no policy yet; nothing passes until it has", reason="POLICY_UNAVAILABLE"
            )
        return read_decisions(answer, identities)


@asynccontextmanager
async def policy_engine(url: str, seconds: float = 2.0) -> AsyncIterator[PolicyEngine]:
    """The engine at `url` (http://host:port), with a time-out a question."""
    timeout, headers = aiohttp.ClientTimeout(total=seconds), {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(timeout=timeout, headers=headers, trust_env=False) as session:
        yield PolicyEngine(session, url)
