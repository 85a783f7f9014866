"""Bad input gets a clear error naming the field, and nothing is stored."""

import asyncio

import aio_pika
import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from orbital.v1 import registry_pb2 as registry
from orbital.v1.crypto_pb2 import UnwrapRequest, WrapRequest
from orbital.v1.resource_pb2 import LinkSpec, Resource, Selector, TenantSpec

from gateway.adapters.rabbitmq.topology import EXCHANGE, routing_key
from tests.system.world import REGIONS, SECONDS, World, eventually, refused, tenancy

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
DECLARE = "/orbital.v1.RegistryService/Declare"


def field_of(error: grpc.RpcError) -> str:
    """The field that the server's ErrorInfo names."""
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.metadata["field"])


def send(world: World, method: str, packed: bytes) -> bytes:
    with world.channel() as channel:
        return bytes(channel.unary_unary(method)(packed, timeout=SECONDS))


def test_bytes_that_are_no_message_are_refused(world: World) -> None:
    error = refused(lambda: send(world, DECLARE, b"\xff\xff\xff\xff"))
    assert error.code() == INVALID
    assert error.details().startswith("request: its bytes are not the message")


def test_a_field_that_the_contract_does_not_have_is_named(world: World) -> None:
    known = registry.DeclareRequest(resources=tenancy("unknown-field")[:1])
    nested = known.resources[0].SerializeToString() + bytes([0xFA, 0x06, 0x01, 0x78])
    packed = bytes([0x0A, len(nested)]) + nested
    error = refused(lambda: send(world, DECLARE, packed))
    assert (error.code(), field_of(error)) == (INVALID, "resources[0][111]")
    assert_unknown(world, "unknown-field")


def test_too_many_resources_are_refused(world: World) -> None:
    error = refused(lambda: world.declare([Resource(name=f"tenants/t{number}") for number in range(5001)]))
    assert (error.code(), field_of(error)) == (INVALID, "resources")


def test_a_body_beyond_the_limit_is_refused(world: World) -> None:
    estate = [Resource(name="tenants/big", tenant=TenantSpec(display_name="x" * 9_000_000))]
    error = refused(lambda: world.declare(estate))
    assert error.code() == INVALID
    assert error.details().startswith("request: larger than")
    assert_unknown(world, "big")


def assert_unknown(world: World, tenant: str) -> None:
    with world.registry() as stub:
        request = registry.GetResourceRequest(name=f"tenants/{tenant}")
        assert refused(lambda: stub.GetResource(request, timeout=SECONDS)).code() == NOT_FOUND


@pytest.mark.parametrize(
    ("resource", "code", "field"),
    [
        (Resource(name="tenants/Not-A-Name", tenant=TenantSpec()), INVALID, "resources[8].name"),
        (
            Resource(name="tenants/x", tenant=TenantSpec(display_name="x" * 201)),
            INVALID,
            "resources[8].tenant.display_name",
        ),
        (
            Resource(name="tenants/x", tenant=TenantSpec(placement=Selector(regions=["eu11"]))),
            NOT_FOUND,
            "resources[8].tenant.placement.regions[0]",
        ),
        (
            Resource(name="tenants/x/links/y", link=LinkSpec(system="z", provider="hsm", key="k")),
            NOT_FOUND,
            "resources[8].link.system",
        ),
        (Resource(name="tenants/x", generation=3, tenant=TenantSpec()), PRECONDITION, "resources[8].generation"),
    ],
)  # fmt: skip
def test_one_mistake_refuses_the_whole_declaration(
    world: World, resource: Resource, code: grpc.StatusCode, field: str
) -> None:
    estate = [*tenancy("mistaken", systems=2, services=1), resource]
    estate.insert(1, Resource(name="tenants/mistaken-too", tenant=TenantSpec(placement=Selector(regions=REGIONS))))
    error = refused(lambda: world.declare(estate))
    assert (error.code(), field_of(error)) == (code, field)
    assert_unknown(world, "mistaken")


def test_a_region_names_the_field_and_what_it_does_not_know(world: World) -> None:
    world.declare(tenancy("strict", services=1))
    world.converged(tenant="strict")
    with world.crypto("eu10") as stub:
        long = WrapRequest(tenant="strict", system="s0", service="v0", plaintext=b"x" * 1025)
        error = refused(lambda: stub.Wrap(long, timeout=SECONDS))
        assert (error.code(), field_of(error)) == (INVALID, "plaintext")
        good = stub.Wrap(
            WrapRequest(tenant="strict", system="s0", service="v0", plaintext=b"x"), timeout=SECONDS
        ).ciphertext
        for tenant, system, service in (("no", "s0", "v0"), ("strict", "no", "v0"), ("strict", "s0", "no")):
            request = UnwrapRequest(tenant=tenant, system=system, service=service, ciphertext=good)
            assert refused(lambda request=request: stub.Unwrap(request, timeout=SECONDS)).code() == NOT_FOUND


def test_a_message_that_cannot_be_read_is_kept_and_stops_nothing(world: World) -> None:
    for region in REGIONS:
        asyncio.run(_publish(world, region, b"\xff\xff no task batch"))
    world.declare(tenancy("behind-junk", services=1))
    world.converged(tenant="behind-junk")

    def look() -> set[str] | None:
        with world.registry() as stub:
            letters = stub.ListDeadLetters(registry.ListDeadLettersRequest(), timeout=SECONDS).dead_letters
        found = {letter.region for letter in letters if letter.reason and letter.size_bytes == 16}
        return found if found == set(REGIONS) else None

    assert eventually(look, 15, "both dead letters are kept")


async def _publish(world: World, region: str, body: bytes) -> None:
    password = (world.place / "secrets" / "rabbitmq-gateway").read_text().strip()
    connection = await aio_pika.connect(
        host="127.0.0.1", port=world.state.ports["amqp"], login="gateway", password=password
    )
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(EXCHANGE)
        await exchange.publish(aio_pika.Message(body), routing_key(region, 1), mandatory=True)
