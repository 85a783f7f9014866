"""L1 keys that no Link may use, in the region itself: whoever signed the task, the key is not touched."""

from __future__ import annotations

from dataclasses import replace

import pytest
from orbital.v1 import task_pb2 as pb

from runtime.l1 import ROOT_KEY, name_problem, reserved
from tests.unit.region.fakes import FakeHsm, fake_parts
from tests.unit.region.make import Estate, work, work_all

ESTATE = Estate()


class Untouched(FakeHsm):
    """A provider that fails the test when anybody asks it."""

    async def wrap(self, label: str, material: bytearray) -> bytes:
        raise AssertionError(label)


@pytest.mark.parametrize(
    ("provider", "key", "reason"),
    [
        *((provider, key, "L1_KEY_RESERVED") for provider in ("hsm", "kms") for key in (ROOT_KEY, ROOT_KEY.upper())),
        *(("kms", key, "L1_KEY_NAME_INVALID") for key in ("team/root", "root-", "customer root", "../../sys/seal", "")),
        ("hsm", "a\x00b", "L1_KEY_NAME_INVALID"),
    ],
)
async def test_a_link_by_a_key_that_it_may_not_use_fails_at_once(provider: str, key: str, reason: str) -> None:
    parts = replace(fake_parts(), providers={"kms": Untouched()})
    await work_all(parts, *ESTATE.foundation())
    task = ESTATE.link(1, key=key)
    task.resource.link.provider = provider
    outcome = await work(parts, task)
    assert (outcome.outcome, outcome.reason) == (pb.OUTCOME_FAILED, reason)
    # Revoking it is never refused.
    assert (await work(parts, ESTATE.unlink(2, key=key))).outcome == pb.OUTCOME_DONE


def test_a_reserved_name_is_so_however_it_is_written() -> None:
    assert reserved(f" {ROOT_KEY.title()} ")
    assert not reserved("customer-root")
    assert not name_problem("kms", "customer-root")
