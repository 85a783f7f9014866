"""Issuers of tokens as they are set: their keys, audiences and claims; their rotation, their downtime, and a flood."""

from __future__ import annotations

import http.client
import itertools
import socket
import threading
import time

from tests.contract.policies.calls import outcome, refusal
from tests.contract.policies.conftest import until
from tests.contract.policies.keeping import LIMIT
from tests.contract.policies.test_gateway_jwt import DENIED, UNAUTHENTICATED, report

# Envoy asks the keeper each second.
SOON = 1.0 + LIMIT + 1.0


def passes(site, token, region="us20"):
    report(site, token, region)
    return True


def unknown_key(site, key_id):
    token = site.foreign.token("us20", key_id=key_id)
    return outcome(refusal(lambda: report(site, token)))


def test_a_foreign_issuer_names_a_region_by_its_own_claim(site):
    passes(site, site.foreign.token("us20"))
    assert site.echoes["gateway-bulk"].seen[-1].metadata["x-orbital-principal"] == "spiffe://orbital/region/us20"
    passes(site, site.foreign.token("us20", audience="x"))


def test_what_counts_of_one_issuer_counts_not_of_another(site):
    swapped = site.foreign.token("us20", audience="orbital-gateway")
    assert outcome(refusal(lambda: report(site, swapped))) == (DENIED, "TOKEN_REFUSED")
    swapped = site.issuer.token("us20", audience="urn:orbital")
    assert outcome(refusal(lambda: report(site, swapped))) == (DENIED, "TOKEN_REFUSED")
    # Its key ID is one of the other's too; the signature is not.
    forged = site.foreign.token("us20", issuer=site.issuer.name, audience="orbital-gateway", key_id="0")
    assert outcome(refusal(lambda: report(site, forged))) == (UNAUTHENTICATED, "TOKEN_REFUSED")
    for name in (7, "", "a/b"):
        error = refusal(lambda name=name: report(site, site.foreign.token(name)))
        assert outcome(error) == ((DENIED, "REGION_MISMATCH") if name == 7 else (UNAUTHENTICATED, "NO_NAME_IN_TOKEN"))


def test_a_token_of_a_rotated_key_counts_as_soon_as_it_was_shown(site):
    server = site.issuer_servers["foreign"]
    site.foreign.rotate()
    asked, token, began = len(server.fetched), site.foreign.token("us20"), time.monotonic()
    until(lambda: passes(site, token), "the new key counts", SOON + 5)
    assert time.monotonic() - began < SOON
    assert len(server.fetched) > asked
    passes(site, site.issuer.token("us20"))


def test_a_flood_of_unknown_keys_asks_each_issuer_once_a_period(site):
    servers = site.issuer_servers.values()
    before = [len(server.fetched) for server in servers]
    began, over = time.monotonic(), threading.Event()

    def flood(number):
        count = 0
        while not over.is_set() or count < 50:
            assert unknown_key(site, f"{number}-{count}") == (UNAUTHENTICATED, "TOKEN_REFUSED")
            count += 1

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: all(len(server.fetched) > was + 1 for server, was in zip(servers, before, strict=True)), "two looks")
    over.set()
    for thread in threads:
        thread.join()
    lasted = time.monotonic() - began
    for server, was in zip(servers, before, strict=True):
        assert 2 <= len(server.fetched) - was <= lasted / LIMIT + 1
        times = server.fetched[was:]
        gaps = [after - earlier for earlier, after in itertools.pairwise(times)]
        assert min(gaps) >= LIMIT
    passes(site, site.foreign.token("us20"))


def fetches_that_failed(site):
    connection = http.client.HTTPConnection("admin")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(site.run / "admin-envoy-gateway.sock"))
    connection.request("GET", "/stats?filter=jwks_fetch_failed")
    said = connection.getresponse().read().decode()
    connection.close()
    return sum(int(line.rpartition(" ")[2]) for line in said.splitlines())


def test_tokens_count_while_the_issuers_are_away_though_everything_starts_anew(site):
    tokens = [site.issuer.token("us20"), site.foreign.token("us20")]
    site.stop_issuers()
    site.stop_keeper()
    try:
        # Envoy asks each second what it is not told, and its cache is of a second.
        until(lambda: fetches_that_failed(site) >= 4, "Envoy does without")
        assert all(passes(site, token) for token in tokens)
        site.start_keeper()
        site.envoys["envoy-gateway"].kill()
        site.start_gateway()
        until(lambda: all(passes(site, token) for token in tokens), "tokens pass again")
        assert unknown_key(site, "unknown") == (UNAUTHENTICATED, "TOKEN_REFUSED")
    finally:
        site.start_issuers()
