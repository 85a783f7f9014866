"""Settings of issuers: what is wrong is named, and what policies and Envoy are given follows from them."""

from pathlib import Path

import pytest

from runtime.errors import Invalid
from runtime.issuers import PERSON, REGION, claims, providers, read_issuers
from stack.settings import load_settings

PROVIDER = Path(__file__).resolve().parents[3] / "envoy" / "issuers" / "provider.yaml"
IAS = {
    "issuer": "https://ias.test",
    "discovery": "https://ias.test/.well-known/openid-configuration",
    "names": "region",
    "audiences": ["orbital-gateway"],
    "claim": ["region"],
}
PEOPLE = {
    "issuer": "https://people.test",
    "jwks": "https://people.test/keys",
    "names": "person",
    "audiences": ["console"],
    "claim": ["ext", "login"],
    "prefix": "p-",
}


def test_policies_are_told_the_claim_by_issuer():
    assert claims(read_issuers({"ias": IAS, "people": PEOPLE})) == {
        "region": {"https://ias.test": {"claim": ["region"], "prefix": ""}},
        "person": {"https://people.test": {"claim": ["ext", "login"], "prefix": "p-"}},
    }


def test_envoy_is_given_a_provider_each_and_wants_one_of_them():
    issuers = read_issuers({"ias": IAS, "other": {**IAS, "issuer": "https://other.test"}, "people": PEOPLE})
    given = providers(PROVIDER, issuers, REGION) | providers(PROVIDER, issuers, PERSON)
    assert given["REGION_ISSUERS"].keys() == {"ias", "other"}
    assert given["REGION_ISSUERS"]["ias"]["audiences"] == ["orbital-gateway"]
    assert given["REGION_REQUIREMENT"] == {
        "requires_any": {"requirements": [{"provider_name": "ias"}, {"provider_name": "other"}]}
    }
    assert given["PERSON_REQUIREMENT"] == {"provider_name": "people"}
    assert given["PERSON_ISSUERS"]["people"]["payload_in_metadata"] == "person_payload"


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"issuer": ""}, "issuers.issuer", "at least 1 character"),
        ({"discovery": None}, "issuers", "exactly one of discovery and jwks"),
        ({"jwks": "https://ias.test/keys"}, "issuers", "exactly one of discovery and jwks"),
        ({"discovery": "http://ias.test/x"}, "issuers.discovery", "expected https://"),
        ({"audiences": []}, "issuers.audiences", "at least 1 item"),
        ({"audiences": ["a", ""]}, "issuers.audiences", "empty element"),
        ({"claim": []}, "issuers.claim", "at least 1 item"),
        ({"claim": [""]}, "issuers.claim", "empty element"),
        ({"names": "planet"}, "issuers.names", "'region' or 'person'"),
        ({"surprise": 1}, "issuers.surprise", "not permitted"),
        ({"issuer": "https://people.test", "names": "person"}, "issuers", "none of them names a region"),
    ],
)
def test_what_is_wrong_is_named(change, field, said):
    given = {name: value for name, value in {**IAS, **change}.items() if value is not None}
    with pytest.raises(Invalid, match=said) as caught:
        read_issuers({"ias": given, "people": PEOPLE})
    assert caught.value.field.startswith(field)
    assert caught.value.reason == "BAD_ISSUER"


def test_two_issuers_cannot_be_taken_for_each_other():
    with pytest.raises(Invalid, match=r"https://ias\.test is there twice for a region"):
        read_issuers({"ias": IAS, "again": {**IAS, "audiences": ["other"]}, "people": PEOPLE})


def test_the_stack_takes_them_from_the_environment(monkeypatch):
    for name, fields in (("IAS", IAS), ("PEOPLE", PEOPLE)):
        for field, value in fields.items():
            text = str(value).replace("'", '"') if isinstance(value, list) else value
            monkeypatch.setenv(f"ORBITAL_STACK__ISSUERS__{name}__{field.upper()}", text)
    assert load_settings().issuers == read_issuers({"ias": IAS, "people": PEOPLE})
    monkeypatch.setenv("ORBITAL_STACK__ISSUERS__IAS__NAMES", "person")
    with pytest.raises(Invalid, match="none of them names a region"):
        load_settings()
    monkeypatch.setenv("ORBITAL_STACK__ISSUERS__IAS__DISCOVERY", "ftp://x")
    with pytest.raises(Invalid, match="STACK__ISSUERS__IAS__DISCOVERY"):
        load_settings()
