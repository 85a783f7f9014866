"""Asks OPA about many tasks in one query, and treats every doubt as a refusal."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from opa_client.opa_async import AsyncOpaClient

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


class _Answer(aiohttp.ClientResponse):
    async def read(self) -> bytes:
        """See aiohttp; raises Invalid beyond the bound of an answer."""
        if self._body is None:
            self._body = await read_answer(self)
        return self._body


class _Client(AsyncOpaClient):  # type: ignore[misc]  # it has no types
    async def _init_session(self) -> None:
        """In place of the library's session, which reads an answer however long it is."""
        timeout = aiohttp.ClientTimeout(total=self.timeout)
        self._session = aiohttp.ClientSession(
            headers=self.headers, timeout=timeout, response_class=_Answer, trust_env=False
        )


class PolicyEngine:
    """The OPA beside this process."""

    def __init__(self, client: AsyncOpaClient, freshness: Freshness) -> None:
        self._client = client
        self._freshness = freshness

    async def policy_age(self) -> float | None:
        """Seconds since the engine could confirm its bundle; None when it does not say."""
        return await self._freshness.age()

    async def decide(self, policy: str, question: Mapping[str, Any], identities: Sequence[str]) -> Decisions:
        """Ask `orbital.authz.<policy>.decisions` once; raises Unavailable when OPA does not answer in time."""
        try:
            answer = await self._client.query_rule(
                input_data=question, package_path=f"orbital.authz.{policy}", rule_name="decisions"
            )
        except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError, UnicodeDecodeError, Invalid) as error:
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
    place = urlsplit(url)
    async with (
        _Client(host=place.hostname, port=place.port, timeout=seconds, retries=0) as client,
        aiohttp.ClientSession(trust_env=False) as session,
    ):
        yield PolicyEngine(client, Freshness(session, url))
