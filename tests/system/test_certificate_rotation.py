"""Identities are renewed under load, and nobody notices. `orbital test soak` does it for ten minutes."""

from stack.context import StackContext
from stack.estate import regions_of
from stack.identity.certificates import Certificates, identities
from stack.layout import Layout
from stack.openbao.platform import PlatformBao
from stack.settings import load_settings
from tests.system.load import loaded, paths_lost, shown
from tests.system.world import World, eventually

ROUNDS = 3


def renew_all(world: World) -> None:
    """What the agent does when it is time, for everybody at once."""
    settings = load_settings()
    site = StackContext(Layout.of(world.place), settings, world.state.ports, regions_of(settings, world.state))
    bao = PlatformBao(site)
    agent = Certificates(site, bao)
    for identity in identities(site):
        agent.issue(bao.client(), identity)


def test_certificates_change_under_load_and_no_call_fails(world: World) -> None:
    with loaded(world, "rotating") as load:
        lost = paths_lost(world)
        for _ in range(ROUNDS):
            before = shown(world)
            renew_all(world)
            eventually(lambda before=before: shown(world) != before or None, 10, "the new certificate is shown")  # type: ignore[misc]
            made = load.calls.total()
            eventually(lambda made=made: load.calls.total() > made + 40 or None, 30, "calls with it")  # type: ignore[misc]
    assert load.failures == []
    assert len(load.calls) == 6
    assert paths_lost(world) == lost
