"""What a region's process is told, by variables called ORBITAL_*."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from region.domain.retry import LONGEST_PAUSE
from region.ports.vault import LONGEST_CACHED
from runtime.settings import Section, Settings


class OpaSettings(Section):
    """The region's policy engine."""

    url: str = Field(description="Address of OPA's data API")


class OpenBaoSettings(Section):
    """The region's OpenBao."""

    address: str = Field(description="https://host:port")
    ca_file: Path = Field(description="Authority of its certificate, PEM")
    role_id_file: Path = Field(description="File with the AppRole's role ID")
    secret_id_file: Path = Field(description="File with the AppRole's secret ID")
    transit: str = Field("l2", description="Mount of the transit engine that holds the L2 keys")
    store: str = Field("keys", description="Mount of the KV v2 engine that holds the records")
    signing: str = Field("signing", description="Mount of the transit engine that holds the key of receipts")
    audit_file: Path | None = Field(
        None, description="Its audit log, whose records of an effect are hashed into the receipt; none: not at hand"
    )


class HsmSettings(Section):
    """The HSM with the customers' L1 keys and the region's root key."""

    library: Path = Field(description="The PKCS#11 library")
    token: str = Field(description="Label of the token")
    pin_file: Path = Field(description="File with the user PIN")
    conf: Path | None = Field(None, description="SoftHSM's configuration file, where the library is SoftHSM")
    generate_missing: bool = Field(
        False, description="Make an L1 that the token does not hold when it is first linked; for a local stack only"
    )


class TokensOpenBaoSettings(Section):
    """An OpenBao whose identity engine issues the token."""

    address: str = Field(description="https://host:port of the issuer")
    ca_file: Path = Field(description="Authority of its certificate, PEM")
    role_id_file: Path = Field(description="File with the AppRole's role ID")
    secret_id_file: Path = Field(description="File with the AppRole's secret ID")
    role: str = Field(description="Name of the OIDC role whose tokens the gateway accepts")


class TokensOauthSettings(Section):
    """Any issuer of OAuth 2.0 that gives a JWT for client credentials."""

    address: str = Field(pattern="^https://", description="https address of its token endpoint")
    ca_file: Path | None = Field(None, description="Authority of its certificate, PEM; none: whom the machine trusts")
    client_id: str = Field(description="What the issuer calls the region")
    client_secret_file: Path = Field(description="File with the region's secret there")
    parameters: dict[str, str] = Field(
        default_factory=dict, description="What it wants beside, such as `scope` or `resource`; a JSON object"
    )


class IasSettings(Section):
    """The issuer of the bearer token by which a JWT region reaches the gateway: exactly one of the two."""

    token_file: Path = Field(description="The SDS file that Envoy reads the token from")
    openbao: TokensOpenBaoSettings | None = None
    oauth: TokensOauthSettings | None = None

    @model_validator(mode="after")
    def _has_one_issuer(self) -> Self:
        if (self.openbao is None) == (self.oauth is None):
            raise ValueError("exactly one of openbao and oauth is the issuer")
        return self


class EnrolmentSettings(Section):
    """How the region gets its identity with a token, once and after it was revoked."""

    gateway: str = Field(description="host:port of the gateway's listener that asks for no certificate")
    ca_file: Path = Field(description="Authority of the gateway's certificate, PEM")
    token_file: Path = Field(description="Where the token is laid down; removed when it was tried")
    identity: Path = Field(description="Directory of the identity, which is put in force as `current` in it")


class StreamSettings(Section):
    """The lane streams."""

    credit: int = Field(8, ge=1, le=256, description="Unacknowledged deliveries taken at once")
    merge: int = Field(4, ge=1, le=64, description="Deliveries journaled in one transaction")
    linger: float = Field(0.005, ge=0, description="Seconds that reports wait for company, except on lane 0")
    company: float = Field(0.05, ge=0, description="The same while other tasks of the lane are being executed")
    beat: float = Field(2.0, gt=0, description="Seconds between the gateway's beats")
    missed_beats: int = Field(3, ge=1, description="Beats missed after which a stream counts as dead")


class BrokerSettings(Section):
    """The way to the broker itself: for `transport: amqp` and `mqtt`, and for what is to come by every path at once."""

    address: str = Field(description="host:port of its AMQP listener with TLS")
    mqtt: str | None = Field(None, description="host:port of its MQTT listener with TLS; none: not by this path")
    mqtt_version: str = Field(
        "auto", pattern=r"^(auto|3\.1\.1|5)$", description="auto: 5 where the broker speaks it, as RabbitMQ 4 does"
    )
    ca_file: Path = Field(description="Authority of its certificate, PEM")
    cert_file: Path = Field(description="The region's certificate, PEM; read again at every connection")
    key_file: Path = Field(description="The key of that certificate")
    virtual_host: str = Field("/", description="Virtual host")


class ExecuteSettings(Section):
    """The execution of tasks."""

    batch: int = Field(256, ge=1, le=5000, description="Tasks asked of the policy at once")
    width: int = Field(32, ge=1, description="Systems worked on at once")
    patience: float = Field(60.0, gt=0, description="Seconds after which a task is put back")
    tries: int = Field(8, ge=1, description="Tries after which a task that fails by itself is parked")
    pause: float = Field(300.0, gt=0, le=LONGEST_PAUSE, description="Seconds until a parked task is tried again")


class ServeSettings(Section):
    """The Crypto service."""

    cache_seconds: float = Field(5.0, gt=0, le=LONGEST_CACHED, description="How long an L3 stays in memory")
    cache_size: int = Field(10_000, ge=1, description="How many Services' L3 stay in memory")
    streams: int = Field(64, ge=1, description="Streams of one caller at once: a workload needs one, to see the health")


class ReconcileSettings(Section):
    """The comparison of keys in transit with their records, by the process that serves."""

    rate: float = Field(20.0, gt=0, le=1000, description="Systems looked at a second; each costs OpenBao three calls")
    rest: float = Field(1.0, ge=0, description="Seconds between two rounds over all Systems")


class EdgeServeSettings(Section):
    """What is served to the region's edges, by the one process that does."""

    listen: Path = Field(description="Unix socket of the bundle and of the edges' status")
    policy: Path = Field(description="The Rego that edges run")
    key_file: Path = Field(description="Signs the bundles: a P-256 key in PEM, readable by its owner alone")
    drift_seconds: float = Field(10.0, gt=0, description="How long an edge may stay on an old revision")
    silent_seconds: float = Field(30.0, gt=0, description="How long an edge may be silent; it speaks every ten seconds")


class EdgeSettings(Section):
    """The policy of the region's edges."""

    store: Path = Field(description="The SQLite database of edge policy, which the region's processes share")
    serve: EdgeServeSettings | None = None


class RegionSettings(Settings):
    """The settings of one process of a region."""

    name: str = Field(description="The process, for instance region-eu10-bulk")
    region: str = Field(description="The region, for instance eu10")
    lanes: frozenset[int] = Field(description="The lanes of this process, a JSON list")
    gateway: str = Field(description="Socket of the region's Envoy that leads to the gateway, unix:PATH")
    journal: Path = Field(description="The SQLite database of this process")
    signing_file: Path = Field(description="File with the region's signing keys")
    journals: frozenset[Path] = Field(
        frozenset(),
        description="Journals of the region's other processes, a JSON list; only read, to verify the region",
    )
    listen: str | None = Field(None, description="Where the Crypto service listens, unix:PATH; none without")
    health: str | None = Field(None, description="Where a process that serves nothing else tells its health, unix:PATH")
    ready_file: Path | None = Field(None, description="Written once the process works, enrolled or isolated")
    stuck_seconds: float = Field(
        20.0, ge=5, description="How long work may wait at a hop where nothing passes before its part starts again"
    )
    keep_hours: float = Field(24.0, gt=0, description="How long settled tasks are remembered, to recognise redelivery")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    l1: dict[str, dict[str, str]] = Field(
        {},
        description="L1 providers beside the HSM, by the name that Links call them: L1__NAME__KIND, and what it wants",
    )
    l1_seconds: float = Field(
        5.0, gt=0, description="How often the owner of each L1 is asked whether it is still allowed"
    )
    opa: OpaSettings
    openbao: OpenBaoSettings
    hsm: HsmSettings
    edge: EdgeSettings
    enrolment: EnrolmentSettings | None = None
    ias: IasSettings | None = None
    broker: BrokerSettings | None = None
    stream: StreamSettings = StreamSettings()
    execute: ExecuteSettings = ExecuteSettings()
    serve: ServeSettings = ServeSettings()
    reconcile: ReconcileSettings = ReconcileSettings()
