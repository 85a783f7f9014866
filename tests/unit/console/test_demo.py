"""The demonstration's own judgement: order of replay, and a failed step that fails the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console.demo import replay, run
from console.demo.state import NotHeld, until
from runtime.errors import Unavailable


class Demo:
    """Has the tasks and traces that a test gives it."""

    connection = None

    def __init__(self, tasks: list[dict[str, Any]]) -> None:
        self.tasks = tasks

    def rows(self, noun: str, **wanted: str) -> list[dict[str, Any]]:
        assert (noun, wanted["region"]) == ("tasks", "us20")
        return self.tasks


def task(name: str, sequence: int, system: str = "core", lane: int = 2, state: str = "done") -> dict[str, Any]:
    resource = f"tenants/acme/systems/{system}/services/{name}"
    return {"id": name, "sequence": sequence, "lane": lane, "state": state, "resource": resource}


def replayed(monkeypatch: pytest.MonkeyPatch, tasks: list[dict[str, Any]], times: dict[str, str]) -> str:
    hops = [
        {"task_id": name, "stage": "execute", "region": "us20", "time": f"2026-11-18T10:26:{second}.000Z"}
        for name, second in times.items()
    ]
    monkeypatch.setattr(replay, "read", lambda *_: {"hops": hops})
    return replay.in_sequence(Demo(tasks), ["id"], "us20")  # type: ignore[arg-type]


def test_replay_in_sequence_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [task("b", 2), task("a", 1), task("old", 0, state="superseded")]
    tasks += [task("high", 9, lane=1), task("other", 8, system="risk")]
    told = replayed(monkeypatch, tasks, {"a": "41", "b": "42", "high": "40", "other": "40"})
    assert told == "4 tasks in sequence, 1 superseded"


def test_replay_out_of_sequence_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotHeld, match="task b was executed before an earlier one"):
        replayed(monkeypatch, [task("a", 1), task("b", 2)], {"a": "42", "b": "41"})


def test_no_replay_at_all_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotHeld, match="no missed task"):
        replayed(monkeypatch, [task("a", 1)], {})


class Stack:
    """A stack that cannot be started."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*_: str) -> None:
            self.calls.append(name)
            if name == "up":
                raise Unavailable("openbao-eu10 is not ready")

        return call


@pytest.mark.parametrize(("keep", "calls"), [(False, ["clear", "up", "down"]), (True, ["clear", "up"])])
def test_what_does_not_start_is_told_and_stopped(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, keep: bool, calls: list[str]
) -> None:
    stack = Stack()
    assert run.play(stack, tmp_path, keep=keep) == 1
    assert stack.calls == calls
    assert "openbao-eu10 is not ready" in capsys.readouterr().out


def test_waiting_ends_with_what_was_seen() -> None:
    with pytest.raises(NotHeld, match="still there after 0 s"):
        until(lambda: False, lambda: "still there", 0.0)
