"""The last good key set of each issuer, in a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from gateway.domain.keyset import verifying
from runtime.errors import Invalid
from runtime.files import read_bytes
from runtime.logs import get_logger

log = get_logger(__name__)


class KeyFiles:
    """Implements `KeySetStore`: NAME.json in a directory that is the gateway's alone."""

    def __init__(self, place: Path) -> None:
        self._place = place
        place.mkdir(mode=0o700, parents=True, exist_ok=True)

    def load(self, name: str) -> Mapping[str, Any] | None:
        """See the port; a file that cannot be read counts as none."""
        try:
            return verifying(orjson.loads(read_bytes(self._place / f"{name}.json")))
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError, Invalid) as error:
            log.warning("kept key set not read", issuer=name, error=str(error))
            return None

    def keep(self, name: str, keys: Mapping[str, Any]) -> None:
        """See the port."""
        beside = self._place / f".{name}.new"
        with beside.open("wb") as file:
            file.write(orjson.dumps(keys))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._place / f"{name}.json")
