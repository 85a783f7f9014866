"""RabbitMQ with MQTT and management, and the name server of its Erlang, both private."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import orjson

from runtime.errors import Precondition
from runtime.signatures import region_identity
from stack.context import TRUST_DOMAIN, StackContext
from stack.identity.authority import server_tls
from stack.secret_files import kept_secret, write_private
from stack.unit import Launch, Server

USER = "gateway"
# Ends the connections of regions that were revoked. It has a login and no permission.
REVOKER = "revoker"
# As the gateway declares them (gateway/adapters/rabbitmq/lanes.py): MQTT wants them to be there before.
EXCHANGE = "orbital.tasks"
KEPT = "orbital.kept"
# What one region may have at once. Three lanes by two paths are six connections, and as many while they are renewed.
REGION_LIMITS = {"max-connections": 24, "max-channels": 48}
MOST_MESSAGE = 8 * 2**20
# What a queue may hold. A lane refuses more, which is a fault of that lane; an MQTT session and the dead letters forget
# their oldest: what a region does not report is driven again.
POLICIES: dict[str, tuple[str, dict[str, object]]] = {
    "orbital-lanes": (r"^orbital\.lane\.[012]\.[^.]+$", {"max-length-bytes": 2**29, "overflow": "reject-publish"}),
    "orbital-sessions": (r"^mqtt-subscription-orbital\.", {"max-length-bytes": 2**27}),
    "orbital-dead": (r"^orbital\.dead$", {"max-length-bytes": 2**26}),
}
PLUGINS = (
    *("rabbitmq_auth_mechanism_ssl", "rabbitmq_auth_backend_http"),
    *("rabbitmq_management", "rabbitmq_mqtt", "rabbitmq_prometheus"),
)

# Busy waiting of idle schedulers would take the cores from the other parts. Certificates and authorities that were
# replaced are noticed within two seconds, in place of two minutes.
ERLANG_ARGUMENTS = (
    "-kernel inet_dist_use_interface {127,0,0,1} -ssl ssl_pem_cache_clean 2000"
    " +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
)

CONFIGURATION = """
listeners.tcp.1 = 127.0.0.1:{amqp}
listeners.ssl.1 = 127.0.0.1:{amqps}
ssl_options.cacertfile = {authority}
ssl_options.certfile = {tls}/current/cert.pem
ssl_options.keyfile = {tls}/current/key.pem
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
ssl_options.depth = 2
ssl_options.versions.1 = tlsv1.3
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
{authentication}
auth_backends.2 = internal
auth_http.http_method = post
auth_http.user_path = https://localhost:{access}/user
auth_http.vhost_path = https://localhost:{access}/vhost
auth_http.resource_path = https://localhost:{access}/resource
auth_http.topic_path = https://localhost:{access}/topic
auth_http.request_timeout = 3000
auth_http.connection_timeout = 2000
ssl_cert_login_from = subject_alternative_name
ssl_cert_login_san_type = uri
ssl_cert_login_san_index = 0
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {prometheus}
mqtt.listeners.tcp = none
mqtt.listeners.ssl.1 = 127.0.0.1:{mqtt}
mqtt.allow_anonymous = false
mqtt.ssl_cert_login = true
mqtt.vhost = /
mqtt.exchange = {exchange}
mqtt.prefetch = 50
{session}
load_definitions = {definitions}
max_message_size = {most_message}
vm_memory_high_watermark.absolute = 2GiB
disk_free_limit.absolute = 200MB
log.console = true
log.console.level = info
log.file = false
collect_statistics_interval = 10000
"""

# What the broker takes in this older form alone. A SPIFFE ID has a colon, which would end a virtual host's name.
ADVANCED = """[
    {{rabbitmq_mqtt, [{{ignore_colons_in_username, true}}]}},
    {{rabbitmq_auth_backend_http, [{{ssl_options, [
        {{cacertfile, "{pair}/ca.pem"}},
        {{certfile, "{pair}/rabbitmq/cert.pem"}},
        {{keyfile, "{pair}/rabbitmq/key.pem"}},
        {{verify, verify_peer}},
        {{versions, ['tlsv1.3']}}
    ]}}]}}
].
"""


@dataclass(frozen=True)
class Dialect:
    """What a major version of the broker calls differently.

    `authenticates`: it looks by itself who somebody is, and asks what they may do. By MQTT, version 4 says "none" where
    no password was given, as it does of that password: nobody but itself can tell the two apart.
    """

    authentication: str
    session: str
    authenticates: bool


DIALECTS = {
    3: Dialect("auth_backends.1 = http", "mqtt.subscription_ttl = 604800000", authenticates=False),
    4: Dialect(
        "auth_backends.1.authn = internal\nauth_backends.1.authz = http",
        "mqtt.max_session_expiry_interval_seconds = 604800",
        authenticates=True,
    ),
}


@dataclass(frozen=True)
class Installation:
    """Where Erlang and RabbitMQ are, and RabbitMQ's major version."""

    erlang: Path
    home: Path

    @property
    def version(self) -> int:
        """3 or 4; raises Precondition for any other."""
        number = self.home.name.partition("-")[2].partition(".")[0]
        if not number.isdigit() or int(number) not in DIALECTS:
            raise Precondition(f"{self.home} is no RabbitMQ 3 or 4", reason="BROKER_VERSION")
        return int(number)

    @property
    def dialect(self) -> Dialect:
        """What this version calls differently."""
        return DIALECTS[self.version]

    @property
    def libraries(self) -> Path | None:
        """What Erlang is to be linked with; None for one that brings its own loader."""
        launched = any(self.erlang.glob("erts-*/bin/.beam.smp"))
        found = sorted(self.erlang.parent.glob("*-linux-gnu"))
        return found[0] if found and not launched else None


def find_tree(context: StackContext) -> Installation:
    """The RabbitMQ of this stack; raises AcquireError when it cannot be had."""
    root = context.binary("rabbitmq")
    homes = sorted((root / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
    if not homes:
        raise FileNotFoundError(f"no rabbitmq_server-* below {root}/usr/lib/rabbitmq/lib")
    return Installation(root / "usr/lib/erlang", homes[-1])


class Epmd(Server):
    """Erlang's name server: it would outlive the node that starts it, so it is ours."""

    name = "epmd"

    async def prepare(self) -> Launch:
        """Nothing to make: it keeps nothing."""
        tree = await asyncio.to_thread(find_tree, self.context)
        port = str(self.context.ports["epmd"])
        argv = (str(tree.erlang / "bin/epmd"), "-port", port, "-address", "127.0.0.1")
        return Launch(argv=argv, cwd=self.context.layout.root, grace=1.0)

    async def ready(self) -> bool:
        """Whether it answers a request for its list of names."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.context.ports["epmd"])
        writer.write(b"\x00\x01n")
        answer = await reader.read(4)
        writer.close()
        return len(answer) == 4


def revoker_password(context: StackContext) -> Path:
    """The file of the password of REVOKER."""
    return context.secret("rabbitmq-revoker")


class RabbitMQ(Server):
    """The broker."""

    name = "rabbitmq"
    requires = ("epmd", "authority")

    def __init__(self, context: StackContext) -> None:
        super().__init__(context)
        self.password = context.secret("rabbitmq-gateway")

    async def prepare(self) -> Launch:
        """Configuration, plugins and definitions."""
        return await asyncio.to_thread(self._prepare)

    async def ready(self) -> bool:
        """Whether the gateway's account can log in over AMQP."""
        connection = await aio_pika.connect(
            host="127.0.0.1",
            port=self.context.ports["amqp"],
            login=USER,
            password=kept_secret(self.password),
            timeout=4,
        )
        await connection.close()
        return True

    def _prepare(self) -> Launch:
        place = self.context.place("rabbitmq")
        for folder in ("home", "mnesia", "log", "gen"):
            (place / folder).mkdir(mode=0o700, exist_ok=True)
        tree = find_tree(self.context)
        definitions = place / "definitions.json"
        write_private(definitions, orjson.dumps(_definitions(self._accounts(tree.dialect))))
        ports = {name: self.context.ports[name] for name in ("amqp", "amqps", "management", "prometheus", "mqtt")}
        ports["access"] = self.context.ports["broker-access"]
        places = {"definitions": definitions, "authority": self.context.authority(), "exchange": EXCHANGE}
        places["tls"] = server_tls(self.context, self.name)
        own: dict[str, object] = {"authentication": tree.dialect.authentication, "session": tree.dialect.session}
        own["most_message"] = MOST_MESSAGE
        (place / "rabbitmq.conf").write_text(CONFIGURATION.format(**places, **ports, **own))
        (place / "advanced.config").write_text(ADVANCED.format(pair=self.context.place("broker-access")))
        (place / "enabled_plugins").write_text(f"[{','.join(PLUGINS)}].\n")
        return Launch(
            argv=(str(tree.home / "sbin/rabbitmq-server"),),
            cwd=place,
            env=self._environment(place, tree),
            grace=20.0,
        )

    def _accounts(self, dialect: Dialect) -> list[dict[str, object]]:
        """Accounts with a password, and those that enter by certificate alone, with their limits."""
        gateway, revoker = kept_secret(self.password), kept_secret(revoker_password(self.context))
        accounts = [_account(USER, gateway, "monitoring"), _account(REVOKER, revoker, "administrator")]
        if dialect.authenticates:
            accounts.append(_by_certificate(f"spiffe://{TRUST_DOMAIN}/gateway"))
        # The broker limits whom it knows, even where it does not authenticate them. They have no permission here.
        regions = (_by_certificate(region_identity(region.name)) for region in self.context.regions)
        return accounts + [{**account, "limits": REGION_LIMITS} for account in regions]

    def _environment(self, place: Path, tree: Installation) -> dict[str, str]:
        # The node's name is that of its data. No version can read what one two versions away has written: each has its
        # own, and what was in the other's lanes is driven again.
        node = f"orbital-{tree.version}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}"
        own = {
            "NODENAME": f"{node}@localhost",
            "NODE_IP_ADDRESS": "127.0.0.1",
            "NODE_PORT": str(self.context.ports["amqp"]),
            "DIST_PORT": str(self.context.ports["rabbitmq-dist"]),
            "MNESIA_BASE": str(place / "mnesia"),
            "LOG_BASE": str(place / "log"),
            "CONFIG_FILE": str(place / "rabbitmq.conf"),
            "ADVANCED_CONFIG_FILE": str(place / "advanced.config"),
            "ENABLED_PLUGINS_FILE": str(place / "enabled_plugins"),
            "GENERATED_CONFIG_DIR": str(place / "gen"),
            "PID_FILE": str(place / "pid"),
            "FEATURE_FLAGS_FILE": str(place / f"feature_flags-{tree.version}"),
            "HOME": str(tree.home),
            "CONF_ENV_FILE": "/dev/null",
            "SERVER_ADDITIONAL_ERL_ARGS": ERLANG_ARGUMENTS,
        }
        return {
            **{f"RABBITMQ_{name}": value for name, value in own.items()},
            "CONF_ENV_FILE": "/dev/null",
            "ERL_EPMD_PORT": str(self.context.ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "HOME": str(place / "home"),
            "PATH": f"{tree.erlang / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "LD_LIBRARY_PATH": str(tree.libraries or ""),
        }


def _account(name: str, password: str, tags: str) -> dict[str, object]:
    salt = secrets.token_bytes(4)
    hashed = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    hashing = {"hashing_algorithm": "rabbit_password_hashing_sha256"}
    return {"name": name, "password_hash": hashed, "tags": tags, **hashing}


def _by_certificate(name: str) -> dict[str, object]:
    """An account that no password opens."""
    return {"name": name, "password_hash": "", "tags": ""}


def _definitions(accounts: list[dict[str, object]]) -> dict[str, object]:
    """What the broker takes in at its start: accounts, and what is Orbital's alone for the gateway's. No guest.

    Nobody else has a permission here: whoever enters by certificate is judged by policy, which the broker asks.
    """
    # With its sessions the gateway does one thing: it takes them away when nobody reads them.
    own = {
        "configure": r"^(mqtt-subscription-)?orbital\.",
        "write": r"^(mqtt-subscription-)?orbital\.",
        "read": r"^orbital\.",
    }
    exchange = {"vhost": "/", "type": "topic", "durable": True, "auto_delete": False, "internal": False}
    return {
        "vhosts": [{"name": "/"}],
        "users": accounts,
        "policies": [
            {
                "vhost": "/",
                "name": name,
                "pattern": pattern,
                "apply-to": "queues",
                "priority": 1,
                "definition": definition,
            }
            for name, (pattern, definition) in POLICIES.items()
        ],
        "permissions": [{"user": USER, "vhost": "/", **own}],
        "exchanges": [
            {"name": KEPT, "arguments": {}, **exchange},
            {"name": EXCHANGE, "arguments": {"alternate-exchange": KEPT}, **exchange},
        ],
    }
