"""What a process is told: environment variables called ORBITAL_*, nested by `__`.

Secrets come as paths of files (fields called `*_file`), never as values.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.errors import Invalid
from runtime.files import read_text

PREFIX = "ORBITAL_"


class Section(BaseModel):
    """A nested group of settings; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Settings(BaseSettings):
    """The root of a process's settings."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", case_sensitive=False
    )

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Any:
        """The settings in the environment; raises Invalid on an ORBITAL_* variable that is not one of them."""
        known = {name.upper() for name in cls.model_fields}
        for variable in sorted(os.environ if environ is None else environ):
            if variable.startswith(PREFIX) and variable.removeprefix(PREFIX).split("__")[0].upper() not in known:
                raise Invalid(f"{variable} is not a setting of this process", reason="UNKNOWN_SETTING", field=variable)
        return cls()


def read_secret(path: Path) -> SecretStr:
    """The secret in a file, without the newline at its end; raises Invalid when it cannot be read or is empty."""
    try:
        text = read_text(path).strip()
    except OSError as error:
        raise Invalid(f"The secret file {path} cannot be read: {error.strerror}", field=str(path)) from error
    if not text:
        raise Invalid(f"The secret file {path} is empty", field=str(path))
    return SecretStr(text)


def describe(model: type[BaseModel], prefix: str = PREFIX) -> Iterator[tuple[str, str, str, str]]:
    """(variable, type, default, meaning) of each setting, nested ones included: the reference page is made of it."""
    for name, field in model.model_fields.items():
        annotation = field.annotation
        found = _nested(annotation)
        if found:
            model_of_it, named = found
            yield from describe(model_of_it, f"{prefix}{name.upper()}__{'NAME__' if named else ''}")
            continue
        default = "required" if field.is_required() else _written(field.get_default(call_default_factory=True))
        yield f"{prefix}{name.upper()}", _kind(annotation), default, field.description or ""


def _kind(annotation: Any) -> str:
    """A type as people read it."""
    if get_origin(annotation) is Literal:
        return " or ".join(get_args(annotation))
    plain = isinstance(annotation, type) and not get_args(annotation)
    return (annotation.__name__ if plain else str(annotation)).replace("pathlib.", "")


def _nested(annotation: Any) -> tuple[type[BaseModel], bool] | None:
    """The group of settings that an annotation is about, and whether there are many of it, by name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for part in getattr(annotation, "__args__", ()):
        found = _nested(part)
        if found:
            return found[0], found[1] or getattr(annotation, "__origin__", None) is dict
    return None


def _written(value: object) -> str:
    """A default as one would write it in the environment."""
    if isinstance(value, frozenset | tuple):
        return json.dumps(sorted(value) if isinstance(value, frozenset) else value)
    return "none" if value is None else str(value)
