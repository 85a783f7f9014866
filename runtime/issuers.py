"""Who may issue tokens: where an issuer's keys are, for whom its tokens are, and which claim names the bearer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from runtime.errors import Invalid
from runtime.settings import Section
from runtime.templates import Parameter, parameters_of, render

REGION, PERSON = "region", "person"
# Where Envoy writes the claims of a token that it verified, by whom the token is for; policies read it there.
PAYLOADS = {REGION: "jwt_payload", PERSON: "person_payload"}


class KeySource(Section):
    """Where the keys of an issuer are found; exactly one of `discovery` and `jwks` is given."""

    issuer: str = Field(min_length=1, description="The `iss` of its tokens, letter for letter")
    discovery: str | None = Field(None, description="https address of its OpenID configuration, which names its keys")
    jwks: str | None = Field(None, description="https address of its keys, in place of `discovery`")
    ca_file: Path | None = Field(None, description="Authority of its certificate, PEM; none: whom the machine trusts")

    @field_validator("discovery", "jwks")
    @classmethod
    def _is_https(cls, value: str | None, info: ValidationInfo) -> str | None:
        place = urlsplit(value or "https://none")
        if place.scheme != "https" or not place.hostname:
            raise ValueError(f"{info.field_name} is {value!r}; expected https://HOST/PATH")
        return value

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        if (self.discovery is None) == (self.jwks is None):
            raise ValueError("exactly one of discovery and jwks says where the keys are")
        return self


class Issuer(KeySource):
    """An issuer whose tokens count, and whom they name."""

    names: Literal["region", "person"] = Field(description="Whom its tokens name: `region` or `person`")
    audiences: tuple[str, ...] = Field(min_length=1, description="The token's `aud` holds one of these; a JSON array")
    claim: tuple[str, ...] = Field(
        min_length=1, description="The claim that holds the name; a JSON array, one step into the token an element"
    )
    prefix: str = Field("", description="What the claim's value begins with, before the name")

    @field_validator("audiences", "claim")
    @classmethod
    def _has_no_gap(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not all(value):
            raise ValueError(f"{info.field_name} has an empty element")
        return value

    def source(self) -> KeySource:
        """The part of it that is about keys."""
        return KeySource(**{name: getattr(self, name) for name in KeySource.model_fields})


Issuers = Mapping[str, Issuer]


def read_issuers(given: Mapping[str, Mapping[str, Any]]) -> Issuers:
    """The issuers by their names; raises Invalid naming the field that is wrong."""
    try:
        read = {name: Issuer(**fields) for name, fields in given.items()}
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"issuers: {field}: {first['msg']}", reason="BAD_ISSUER", field=f"issuers.{field}") from error
    check(read)
    return read


def check(issuers: Issuers) -> None:
    """Raise Invalid when two issuers could be taken for each other, or nobody names regions, or nobody people."""
    for kind in (REGION, PERSON):
        known = [each.issuer for each in issuers.values() if each.names == kind]
        if not known:
            raise Invalid(f"issuers: none of them names a {kind}", reason="BAD_ISSUER", field="issuers")
        twice = sorted({name for name in known if known.count(name) > 1})
        if twice:
            raise Invalid(f"issuers: {twice[0]} is there twice for a {kind}", reason="BAD_ISSUER", field="issuers")


def claims(issuers: Issuers) -> dict[str, dict[str, Any]]:
    """What policies read: by whom tokens name, by `iss`, the way to the claim and the prefix of its value."""
    return {
        kind: {
            each.issuer: {"claim": list(each.claim), "prefix": each.prefix}
            for each in issuers.values()
            if each.names == kind
        }
        for kind in (REGION, PERSON)
    }


def providers(template: Path, issuers: Issuers, kind: str) -> dict[str, Parameter]:
    """Envoy's providers, rendered from `template`, of the issuers that name a `kind`, and what a call then needs.

    The two are the parameters KIND_ISSUERS and KIND_REQUIREMENT of a template with a listener.
    """
    found = {name: each for name, each in sorted(issuers.items()) if each.names == kind}
    rendered = {name: _provider(template, name, each) for name, each in found.items()}
    wanted = [{"provider_name": name} for name in found]
    # Envoy refuses a choice of one.
    requirement = wanted[0] if len(wanted) == 1 else {"requires_any": {"requirements": wanted}}
    return {f"{kind.upper()}_ISSUERS": rendered, f"{kind.upper()}_REQUIREMENT": requirement}


def _provider(template: Path, name: str, issuer: Issuer) -> dict[str, Any]:
    values: dict[str, Parameter] = {
        "NAME": name,
        "ISSUER": issuer.issuer,
        "AUDIENCES": list(issuer.audiences),
        "PAYLOAD": PAYLOADS[issuer.names],
        # The console calls on with the person's token.
        "FORWARD": issuer.names == PERSON,
    }
    return render(template, {each: values[each] for each in parameters_of(template)})
