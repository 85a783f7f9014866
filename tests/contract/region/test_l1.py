"""An external KMS as an L1 provider: a real OpenBao that belongs to somebody else, in each of its three moods."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import hvac
import pytest

from region.adapters.l1.providers import open_providers
from region.adapters.l1.transit import Config, TransitProvider, open_provider
from region.handlers.parts import Parts
from region.ports.l1 import Refused
from runtime.errors import Invalid, Stalled, Unavailable
from stack.openbao.customer import POLICY
from tests.contract.region.conftest import RealParts
from tests.unit.region.make import Estate, work, work_all


class Customer:
    """Who owns the keys, and gave a token for their use."""

    def __init__(self, client: hvac.Client, config: Config) -> None:
        self.client, self.config = client, config
        self.key = "root-" + secrets.token_hex(4)
        self.policy = "grant-" + secrets.token_hex(4)

    def grant(self) -> None:
        self.client.sys.create_or_update_policy(self.policy, POLICY)

    def new_token(self) -> None:
        made = self.client.auth.token.create_orphan(policies=[self.policy], no_default_policy=True)
        self.config.token_file.write_text(made["auth"]["client_token"])


@pytest.fixture
def customer(real_parts: RealParts, tmp_path: Path) -> Customer:
    client = real_parts.client
    if "transit/" not in client.sys.list_mounted_secrets_engines()["data"]:
        client.sys.enable_secrets_engine("transit")
    config = Config(address=client.url, ca_file=real_parts.login.ca_file, token_file=tmp_path / "token")
    customer = Customer(client, config)
    client.secrets.transit.create_key(customer.key)
    customer.grant()
    customer.new_token()
    return customer


@pytest.fixture
async def kms(customer: Customer) -> AsyncIterator[TransitProvider]:
    async with open_provider(customer.config) as opened:
        yield opened


async def test_material_comes_back(kms: TransitProvider, customer: Customer) -> None:
    blob = await kms.wrap(customer.key, bytearray(b"m" * 32))
    assert b"m" * 32 not in blob
    assert await kms.unwrap(customer.key, blob) == b"m" * 32
    await kms.ask(customer.key)


async def test_a_key_may_have_any_label_and_reach_nothing_else(kms: TransitProvider) -> None:
    for label in ("../sys/seal", "a/b", "ä", "x?y=z"):
        with pytest.raises((Invalid, Refused, Unavailable, Stalled)):
            await kms.wrap(label, bytearray(32))


async def refused(kms: TransitProvider, customer: Customer, blob: bytes) -> None:
    for call in (kms.unwrap(customer.key, blob), kms.ask(customer.key)):
        with pytest.raises(Refused) as error:
            await call
        assert error.value.reason == "L1_REFUSED"


async def test_each_way_to_disable_a_key_is_a_refusal(kms: TransitProvider, customer: Customer) -> None:
    transit = customer.client.secrets.transit
    blob = await kms.wrap(customer.key, bytearray(32))
    await kms.ask(customer.key)
    customer.client.sys.delete_policy(customer.policy)
    await refused(kms, customer, blob)
    customer.grant()
    await kms.ask(customer.key)
    customer.client.auth.token.revoke(customer.config.token_file.read_text())
    await refused(kms, customer, blob)
    customer.new_token()
    await kms.ask(customer.key)
    transit.rotate_key(customer.key)
    transit.update_key_configuration(customer.key, min_decryption_version=2)
    await refused(kms, customer, blob)
    transit.update_key_configuration(customer.key, min_decryption_version=1, deletion_allowed=True)
    await kms.ask(customer.key)
    transit.delete_key(customer.key)
    await refused(kms, customer, blob)


async def test_away_is_no_refusal(customer: Customer) -> None:
    nowhere = customer.config.model_copy(update={"address": "https://127.0.0.1:9"})
    async with open_provider(nowhere) as kms:
        with pytest.raises(Unavailable) as error:
            await kms.ask(customer.key)
        assert error.value.reason == "L1_UNREACHABLE"
    customer.config.token_file.unlink()
    async with open_provider(customer.config) as kms:
        with pytest.raises(Unavailable):
            await kms.ask(customer.key)


async def test_another_keys_blob_is_neither(kms: TransitProvider, customer: Customer) -> None:
    blob = bytearray(await kms.wrap(customer.key, bytearray(32)))
    blob[-4] ^= 1
    for wrong in (bytes(blob), b"\xff", b"no blob"):
        with pytest.raises(Stalled) as error:
            await kms.unwrap(customer.key, wrong)
        assert error.value.reason == "BLOB_REFUSED"


async def test_a_system_lives_by_it(parts: Parts, tenant: str, kms: TransitProvider, customer: Customer) -> None:
    parts = replace(parts, providers={"kms": kms})
    estate = Estate(tenant)
    tasks = [*estate.foundation()]
    for task in (estate.link(1, customer.key), estate.unlink(2, customer.key), estate.link(3, customer.key)):
        task.resource.link.provider = "kms"
        tasks.append(task)
    assert {one.reason for one in await work_all(parts, *tasks)} == {""}
    assert await parts.transit.key(f"{tenant}.core") is not None
    customer.client.sys.delete_policy(customer.policy)
    again = estate.link(5, customer.key)
    again.resource.link.provider = "kms"
    await work(parts, estate.unlink(4, customer.key))
    assert (await work(parts, again)).reason == "L1_REFUSED"


@pytest.mark.parametrize(
    ("configured", "field"),
    [
        ({"hsm": {"kind": "transit"}}, "ORBITAL_L1__HSM"),
        ({"kms": {}}, "ORBITAL_L1__KMS__KIND"),
        ({"kms": {"kind": "nothing"}}, "ORBITAL_L1__KMS__KIND"),
        ({"kms": {"kind": "../x"}}, "ORBITAL_L1__KMS__KIND"),
        ({"kms": {"kind": "providers"}}, "ORBITAL_L1__KMS__KIND"),
        ({"kms": {"kind": "transit"}}, "ORBITAL_L1__KMS__ADDRESS"),
        ({"kms": {"kind": "transit", "address": "x", "ca_file": "x", "token_file": "x", "pin": "1"}}, "ORBITAL_L1__KMS__PIN"),  # noqa: E501
    ],
)  # fmt: skip
async def test_a_wrong_setting_is_named(configured: dict[str, dict[str, str]], field: str) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(Invalid) as error:
            await open_providers(configured, stack)
    assert error.value.field == field
