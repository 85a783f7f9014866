"""The settings of a gateway process."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from runtime.issuers import KeySource
from runtime.settings import Section, Settings


class PostgresAddress(Section):
    """Where the database is, and the role that gateways use it as."""

    host: str = Field(description="Directory of the Unix socket, or a host name")
    port: int = Field(5432, description="Port, which also names the socket")
    database: str = Field("orbital", description="A database of Orbital's own")
    user: str = Field("orbital", description="The gateways' role, which owns nothing there")


class PostgresSettings(PostgresAddress):
    """Where desired and observed state are kept."""

    password_file: Path = Field(description="File with the role's password")
    connections: int = Field(12, ge=4, le=100, description="Size of the pool")
    seconds: float = Field(30.0, description="Time-out of a statement")


class ManagementSettings(Section):
    """The broker's management API, by which connections of revoked regions are ended."""

    url: str = Field(description="http://host:port")
    user: str = Field("revoker", description="An administrator of the broker, with no permission on a virtual host")
    password_file: Path = Field(description="File with the user's password")


class MqttSettings(Section):
    """The broker's MQTT listener, by mutual TLS, for publishing."""

    address: str = Field(description="host:port")
    ca_file: Path = Field(description="The authority of the broker's certificate, PEM")
    cert_file: Path = Field(description="The gateway's certificate, whose SPIFFE ID is its account, PEM")
    key_file: Path = Field(description="The key of that certificate")


class RabbitMQSettings(Section):
    """The broker."""

    host: str = Field("127.0.0.1", description="Host name")
    port: int = Field(5672, description="AMQP port")
    user: str = Field("gateway", description="May do all to orbital.*, and make and write mqtt-subscription-orbital.*")
    password_file: Path = Field(description="File with the user's password")
    virtual_host: str = Field("/", description="Virtual host")
    queue_type: str = Field("classic", pattern="classic|quorum", description="quorum on a cluster")
    confirm_seconds: float = Field(
        5.0, gt=0, le=60, description="How long the confirm of a message may take: a lane that takes longer waits alone"
    )
    confirm_immediate_seconds: float = Field(
        0.5, gt=0, le=60, description="The same on lane 0, before a task goes by the region's open stream instead"
    )
    management: ManagementSettings | None = None
    mqtt: MqttSettings | None = Field(None, description="Tasks are published by MQTT, in place of AMQP")


class BrokerAccessSettings(Section):
    """Where the broker asks who may do what, by mutual TLS with certificates that nothing else is trusted by."""

    listen: str = Field(description="host:port")
    ca_file: Path = Field(description="The authority of the broker's certificate, PEM, and of nobody else's")
    cert_file: Path = Field(description="The certificate that is shown to the broker, PEM")
    key_file: Path = Field(description="The key of that certificate")
    authenticated: bool = Field(
        False, description="The broker knows who somebody is before it asks (`auth_backends.1.authn = internal`)"
    )
    remember_seconds: float = Field(1.0, ge=0, le=2, description="How long what policy allowed is not asked again")
    remember_most: int = Field(4096, ge=0, description="How many of such answers are kept; the oldest go first")


class OpaSettings(Section):
    """The policy engine beside this process."""

    url: str = Field(description="http://host:port of its data API")
    seconds: float = Field(2.0, description="Time-out of a question")


class OpenBaoSettings(Section):
    """The platform's OpenBao: its PKI certifies the keys of receipts, its transit signs proofs."""

    address: str = Field(description="https://host:port")
    ca_file: Path = Field(description="Authority of its certificate, PEM; what it certifies leads back to it too")
    role_id_file: Path = Field(description="File with the AppRole's role ID")
    secret_id_file: Path = Field(description="File with the AppRole's secret ID")
    pki: str = Field("pki", description="Mount of the PKI engine, with the roles `receipts`, `proofs` and `region`")
    signing: str = Field("signing", description="Mount of the transit engine that holds the key `proofs`")
    region_hosts: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1"), description="Names and addresses that the certificates of regions are valid for"
    )


class KeySetSettings(Section):
    """Keys of the issuers of tokens: fetched here, kept, and given to the Envoy beside this process."""

    listen: Path = Field(description="Unix socket where Envoy fetches them, and tells of keys that it does not know")
    place: Path = Field(description="Directory, this process's alone, that keeps the last ones while an issuer is away")
    sources: dict[str, KeySource] = Field(
        description="Where they are, by the issuer's name: `…__SOURCES__NAME__ISSUER`"
    )
    refresh_seconds: float = Field(60.0, gt=0, description="How often an issuer is asked without a reason")
    limit_seconds: float = Field(5.0, gt=0, description="How often at most, whatever keys are shown")


class FlowSettings(Section):
    """How much at once, and how often."""

    detect_batch: int = Field(2000, ge=1, le=10_000, description="Placements a detection statement")
    detect_seconds: float = Field(5.0, gt=0, description="Period of the full pass that needs no notification")
    claim_batch: int = Field(512, ge=1, le=5000, description="Tasks a claim")
    message_tasks: int = Field(128, ge=1, le=500, description="Tasks a broker message")
    report_batch: int = Field(2000, ge=1, le=20_000, description="Reports a statement")
    direct_seconds: float = Field(
        1.0, gt=0, le=10, description="How long a region may take to acknowledge a task that went without the broker"
    )
    stuck_seconds: float = Field(
        20.0, ge=5, description="How long work may wait at a hop where nothing passes before its part starts again"
    )
    decision_days: float = Field(7.0, gt=0, description="How long decisions are kept")
    beat_seconds: float = Field(2.0, gt=0, description="Period of the proof of life on every lane stream")
    stream_seconds: float = Field(600.0, gt=0, description="Age at which a lane stream has to be authorised anew")
    head_seconds: float = Field(
        4.0,
        gt=0,
        le=5,
        description="Period in which the end of the audit trail is signed: no more of it can be lost unnoticed",
    )
    approval_seconds: float = Field(
        900.0, gt=0, le=86_400, description="How long a request that takes two people waits for the second one"
    )
    fuse_share: float = Field(
        0.1, ge=0, le=1, description="More than this share of what a call is about is not for one person to take away"
    )
    fuse_least: int = Field(5, ge=1, description="Fewer placements or resources than this one person may take away")
    invitation_seconds: float = Field(900.0, ge=1, description="Life of a token that a region enrols with")
    grace_seconds: float = Field(15.0, ge=0, description="How long a region that comes back may read its queue first")


class LimitSettings(Section):
    """What one party may take of what all share."""

    streams: int = Field(200, ge=1, description="Streams and watches of one caller at once: a console's page has two")


class GatewaySettings(Settings):
    """What a gateway process is told."""

    name: str = Field("gateway", description="Name of this process in logs and traces")
    lanes: frozenset[int] = Field(frozenset({0, 1, 2}), description="Lanes that this process serves")
    listen: str = Field(description="unix:PATH of the gRPC socket")
    http: Path | None = Field(None, description="Unix socket for bundles and decision logs; none: not served here")
    bundle: Path | None = Field(None, description="The signed policy bundle")
    signing_file: Path = Field(description="File with the control plane's signing keys")
    postgres: PostgresSettings
    rabbitmq: RabbitMQSettings
    opa: OpaSettings
    openbao: OpenBaoSettings | None = None
    broker_access: BrokerAccessSettings | None = None
    key_sets: KeySetSettings | None = Field(None, description="none: not served here")
    flow: FlowSettings = FlowSettings()
    limits: LimitSettings = LimitSettings()
    log_level: str = Field("INFO", pattern="DEBUG|INFO|WARNING|ERROR", description="Least level that is logged")
