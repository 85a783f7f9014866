"""Records in KV v2, each written by check-and-set; only the newest revision is kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from region.adapters.openbao.shared import SharedQuery
from region.ports.vault import StoredRecord
from runtime.errors import Conflict, Unavailable
from runtime.openbao import OpenBao, audited_as

# Records that a process wrote last and remembers; none holds key material that is not wrapped.
REMEMBERED = 10_000


class KvStore:
    """See region.ports.vault.Store."""

    def __init__(self, openbao: OpenBao, mount: str) -> None:
        self._openbao = openbao
        self._mount = mount
        self._reads: SharedQuery[StoredRecord | None] = SharedQuery()
        self._written: OrderedDict[str, StoredRecord] = OrderedDict()

    async def read(self, path: str) -> StoredRecord | None:
        """See the port."""
        # OpenBao's records say for which change a read was: only those of one change share it.
        return await self._reads.ask((path, audited_as()), lambda: self._read(path))

    async def _read(self, path: str) -> StoredRecord | None:
        answer = await self._openbao.call("GET", f"{self._mount}/data/{path}")
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise answer.refusal(f"read {path}")
        found = answer.body["data"]
        return StoredRecord(found["data"], int(found["metadata"]["version"])) if found["data"] is not None else None

    async def recall(self, path: str) -> StoredRecord | None:
        """See the port."""
        return self._written.get(path)

    async def write(self, path: str, fields: Mapping[str, Any], revision: int) -> int:
        """See the port."""
        # What becomes of it is not known until it is answered.
        self._written.pop(path, None)
        body = {"data": fields, "options": {"cas": revision}}
        answer = await self._openbao.call("POST", f"{self._mount}/data/{path}", body)
        if answer.status == 400 and "check-and-set" in answer.errors():
            raise Conflict(f"{path} was changed meanwhile", reason="CHANGED")
        if answer.status != 200:
            raise answer.refusal(f"write {path}")
        version = int(answer.body["data"]["version"])
        self._written[path] = StoredRecord(fields, version)
        while len(self._written) > REMEMBERED:
            self._written.popitem(last=False)
        return version

    async def forget_older(self, path: str) -> None:
        """See the port."""
        older = await self._older(path)
        if not older:
            return
        answer = await self._openbao.call("PUT", f"{self._mount}/destroy/{path}", {"versions": older})
        if answer.status >= 400:
            raise answer.refusal(f"destroy {path}")
        if await self._older(path):
            raise Unavailable(f"Older revisions of {path} are still there", reason="NOT_DESTROYED")

    async def _older(self, path: str) -> list[int]:
        """The revisions below the newest that still hold something."""
        answer = await self._openbao.call("GET", f"{self._mount}/metadata/{path}")
        if answer.status == 404:
            return []
        if answer.status != 200:
            raise answer.refusal(f"read {path}")
        kept = answer.body["data"]
        versions = kept["versions"].items()
        return [int(at) for at, one in versions if int(at) < kept["current_version"] and not one["destroyed"]]

    async def names(self, folder: str) -> list[str]:
        """See the port."""
        return [name for name in await self._listed(folder) if not name.endswith("/")]

    async def folders(self, folder: str) -> list[str]:
        """See the port."""
        return [name.rstrip("/") for name in await self._listed(folder) if name.endswith("/")]

    async def _listed(self, folder: str) -> list[str]:
        answer = await self._openbao.call("LIST", f"{self._mount}/metadata/{folder}")
        if answer.status == 404:
            return []
        if answer.status != 200:
            raise answer.refusal(f"list {folder}")
        return list(answer.body["data"]["keys"])
