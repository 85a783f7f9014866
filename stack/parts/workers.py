"""Orbital's own processes: two for the gateway and two for each region, one of each for lane 0 alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc

from runtime.channels import open_aio_channel
from runtime.settings import Section
from stack.context import JWT, Region, StackContext
from stack.identity.signing import signing_file
from stack.issuers import issuers
from stack.openbao import customer
from stack.openbao.platform import LOGIN_ROLE
from stack.parts import edge, softhsm
from stack.parts.opa import bundle
from stack.parts.rabbitmq import REVOKER, find_tree, revoker_password
from stack.parts.rabbitmq import USER as BROKER_USER
from stack.parts.schema import database, gateway_login
from stack.settings import RabbitMQServer
from stack.unit import Launch, Server

# Few L1 on one machine: they can be asked often.
L1_SECONDS = 1
LANES = {"immediate": "[0]", "bulk": "[1,2]"}
# What can wait makes room for lane 0 and for what serves keys; the policy engine of each process does as that does.
NICE = {"immediate": 0, "bulk": 5}


async def serves(socket: Path) -> bool:
    """Whether the gRPC server at `socket` says that it serves."""
    async with open_aio_channel(f"unix:{socket}") as channel:
        ask: Any = health_pb2_grpc.HealthStub(channel)
        answer = await ask.Check(health_pb2.HealthCheckRequest(), timeout=2)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def variables(settings: Mapping[str, object]) -> dict[str, str]:
    """Settings as environment variables of a process."""
    return {f"ORBITAL_{name}": str(value) for name, value in settings.items()}


def broker(context: StackContext) -> RabbitMQServer:
    """The broker that the gateways use: the private one, or one's own."""
    return context.settings.rabbitmq_server or RabbitMQServer(
        host="127.0.0.1",
        port=context.ports["amqp"],
        user=BROKER_USER,
        password_file=context.secret("rabbitmq-gateway"),
    )


def _section(prefix: str, section: Section) -> dict[str, object]:
    return {f"{prefix}__{name.upper()}": value for name, value in section.model_dump().items()}


class Gateway(Server):
    """A gateway process; `role` is immediate or bulk. The bulk one also serves people, bundles and decision logs."""

    requires = ("schema", "policies", "authority")
    # It connects to the broker by itself when that is there, and the broker is the slowest to start.
    wants: tuple[str, ...] = ("rabbitmq",)

    def __init__(self, context: StackContext, role: str) -> None:
        super().__init__(context)
        self.name = f"gateway-{role}"
        self.wants = (*self.wants, "envoy-gateway", f"opa-{self.name}", "opa-gateway-immediate")
        self._role = role
        self._socket = context.layout.run / f"{self.name}.sock"

    async def prepare(self) -> Launch:
        """Its settings."""
        context = self.context
        settings: dict[str, object] = {
            "NAME": self.name,
            "LANES": LANES[self._role],
            "LISTEN": f"unix:{self._socket}",
            **gateway_login(database(context)),
            **_section("RABBITMQ", broker(context)),
            "OPA__URL": f"http://{context.address(f'opa-{self.name}')}",
            "SIGNING_FILE": signing_file(context, "gateway"),
        }
        if context.settings.publish == "mqtt":
            settings |= self._mqtt()
        if self._role == "bulk":
            settings |= {
                "HTTP": context.layout.run / "gateway-http.sock",
                "BUNDLE": bundle(context),
                **self._key_sets(),
            }
            settings |= {
                "OPENBAO__ADDRESS": f"https://{context.address('openbao-global')}",
                "OPENBAO__CA_FILE": context.authority(),
                "OPENBAO__ROLE_ID_FILE": context.secret("gateway-role-id"),
                "OPENBAO__SECRET_ID_FILE": context.secret("gateway-secret-id"),
            }
        elif context.settings.rabbitmq_server is None:
            settings |= self._access()
        return Launch(
            argv=(sys.executable, "-m", "gateway.main"),
            cwd=context.place("gateway"),
            env=variables(settings),
            nice=NICE[self._role],
        )

    async def ready(self) -> bool:
        """Whether its gRPC server serves."""
        return await serves(self._socket)

    def _mqtt(self) -> dict[str, object]:
        """Where it publishes by MQTT, and whom it is there."""
        identity = self.context.layout.identity("gateway") / "current"
        return {
            "RABBITMQ__MQTT__ADDRESS": self.context.address("mqtt"),
            "RABBITMQ__MQTT__CA_FILE": self.context.authority(),
            "RABBITMQ__MQTT__CERT_FILE": identity / "cert.pem",
            "RABBITMQ__MQTT__KEY_FILE": identity / "key.pem",
        }

    def _key_sets(self) -> dict[str, object]:
        """Whose keys it keeps for Envoy."""
        settings: dict[str, object] = {
            "KEY_SETS__LISTEN": self.context.layout.run / "gateway-keys.sock",
            "KEY_SETS__PLACE": self.context.place("gateway") / "keys",
        }
        for name, issuer in issuers(self.context).items():
            for field, value in issuer.source().model_dump(exclude_none=True).items():
                settings[f"KEY_SETS__SOURCES__{name.upper()}__{field.upper()}"] = value
        return settings

    def _access(self) -> dict[str, object]:
        """Where the broker asks: of the process that waits for nothing else."""
        place = self.context.place("broker-access")
        return {
            "BROKER_ACCESS__LISTEN": self.context.address("broker-access"),
            "BROKER_ACCESS__CA_FILE": place / "ca.pem",
            "BROKER_ACCESS__CERT_FILE": place / "gateway" / "cert.pem",
            "BROKER_ACCESS__KEY_FILE": place / "gateway" / "key.pem",
            "BROKER_ACCESS__AUTHENTICATED": str(find_tree(self.context).dialect.authenticates).lower(),
            "RABBITMQ__MANAGEMENT__URL": f"http://{self.context.address('management')}",
            "RABBITMQ__MANAGEMENT__USER": REVOKER,
            "RABBITMQ__MANAGEMENT__PASSWORD_FILE": revoker_password(self.context),
        }


class RegionWorker(Server):
    """A region's process; `role` is immediate or bulk. The immediate one also serves keys to workloads."""

    def __init__(self, context: StackContext, region: Region, role: str) -> None:
        super().__init__(context)
        self.name = f"region-{region.name}-{role}"
        self.requires = (
            *(f"openbao-{region.name}", f"softhsm-{region.name}"),
            *("certificates", "signing-keys", edge.keys_of(region.name)),
        )
        self.wants = (
            f"envoy-{region.name}",
            f"opa-{region.name}-{role}",
            f"opa-{region.name}-immediate",
            customer.NAME,
        )
        self._region = region
        self._role = role
        self._socket = context.layout.run / f"{self.name}.sock"
        self._ready_file = context.layout.part(f"region-{region.name}") / f"{role}.ready"

    async def prepare(self) -> Launch:
        """Its settings; what an earlier process said of its readiness is gone."""
        place = self.context.place(f"region-{self._region.name}")
        self._ready_file.unlink(missing_ok=True)
        return Launch(
            argv=(sys.executable, "-m", "region.main"),
            cwd=place,
            env={**variables(self._settings(place)), "SOFTHSM2_CONF": str(self._token_directory())},
            nice=NICE[self._role],
        )

    async def ready(self) -> bool:
        """Whether it is enrolled, or serves on its own; the immediate one says so over gRPC."""
        if self._role == "immediate":
            return await serves(self._socket)
        return self._ready_file.exists()

    def _token_directory(self) -> Path:
        return softhsm.configuration(self.context, self._region.name)

    def _settings(self, place: Path) -> dict[str, object]:
        context, region, bao = self.context, self._region.name, f"openbao-{self._region.name}"
        settings: dict[str, object] = {
            "NAME": self.name,
            "REGION": region,
            "LANES": LANES[self._role],
            "GATEWAY": f"unix:{context.layout.run / f'region-{region}-out.sock'}",
            "JOURNAL": place / f"{self._role}.db",
            "READY_FILE": self._ready_file,
            "SIGNING_FILE": signing_file(context, region),
            "OPA__URL": f"http://{context.address(f'opa-{region}-{self._role}')}",
            "OPENBAO__ADDRESS": f"https://{context.address(bao)}",
            "OPENBAO__CA_FILE": context.authority(),
            "OPENBAO__ROLE_ID_FILE": context.secret(f"{bao}-role-id"),
            "OPENBAO__SECRET_ID_FILE": context.secret(f"{bao}-secret-id"),
            "OPENBAO__AUDIT_FILE": context.layout.logs / f"{bao}-audit.jsonl",
            "HSM__LIBRARY": softhsm.library(context),
            "HSM__TOKEN": softhsm.token_label(region),
            "HSM__PIN_FILE": context.secret(f"hsm-{region}-pin"),
            "HSM__CONF": self._token_directory(),
            "HSM__GENERATE_MISSING": "true",
            **self._customer(),
            "EDGE__STORE": place / "edge.db",
        }
        if context.settings.rabbitmq_server is None:
            settings |= self._broker()
        if self._role == "immediate":
            settings["LISTEN"] = f"unix:{self._socket}"
            settings["JOURNALS"] = json.dumps([str(place / "bulk.db")])
            return settings | edge.served(context, region)
        settings["HEALTH"] = f"unix:{self._socket}"
        if self._region.auth == JWT:
            settings |= self._issuer()
        return settings | self._enrolment(place)

    def _customer(self) -> dict[str, object]:
        """The customer's KMS, as an L1 provider beside the HSM."""
        settings = {
            "KIND": "transit",
            "ADDRESS": f"https://{self.context.address(customer.NAME)}",
            "CA_FILE": self.context.authority(),
            "TOKEN_FILE": self.context.secret("customer-token"),
        }
        prefix = f"L1__{customer.PROVIDER.upper()}__"
        return {"L1_SECONDS": L1_SECONDS, **{f"{prefix}{name}": value for name, value in settings.items()}}

    def _broker(self) -> dict[str, object]:
        """Where the region finds the broker itself: through its path too."""
        context, region = self.context, self._region.name
        current = context.layout.identity(region) / "current"
        return {
            "BROKER__ADDRESS": context.address(f"paths-{region}-amqp"),
            "BROKER__MQTT": context.address(f"paths-{region}-mqtt"),
            "BROKER__CA_FILE": context.authority(),
            "BROKER__CERT_FILE": current / "cert.pem",
            "BROKER__KEY_FILE": current / "key.pem",
        }

    def _enrolment(self, place: Path) -> dict[str, object]:
        """Where a token is laid down, and what it is turned into."""
        return {
            "ENROLMENT__GATEWAY": self.context.address("gateway-jwt"),
            "ENROLMENT__CA_FILE": self.context.authority(),
            "ENROLMENT__TOKEN_FILE": place / "enrolment-token",
            "ENROLMENT__IDENTITY": self.context.layout.identity(self._region.name),
        }

    def _issuer(self) -> dict[str, object]:
        """Where the region gets its tokens: through its path, so that a cut cuts this too."""
        context, region = self.context, self._region.name
        return {
            "IAS__OPENBAO__ADDRESS": f"https://{context.address(f'paths-{region}-ias')}",
            "IAS__OPENBAO__CA_FILE": context.authority(),
            "IAS__OPENBAO__ROLE_ID_FILE": context.secret(f"ias-{region}-role-id"),
            "IAS__OPENBAO__SECRET_ID_FILE": context.secret(f"ias-{region}-secret-id"),
            "IAS__OPENBAO__ROLE": LOGIN_ROLE,
            "IAS__TOKEN_FILE": context.layout.identity(region) / "token.yaml",
        }
