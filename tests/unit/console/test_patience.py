"""Following: a gateway that is away ends nothing, and what is measured anew all the time is no news."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from console.cli.commands import get
from console.cli.failure import Exit, Failure
from console.cli.nouns import NOUNS
from console.cli.patience import asked_again
from runtime import errors

AWAY = [errors.Unavailable("No answer in time"), Failure("Gateway unreachable at x (3 tries, 4 s).", Exit.UNAVAILABLE)]


def _failing(failures: list[Exception], answer: Any) -> Callable[[], Any]:
    left = list(failures)

    def ask() -> Any:
        if left:
            raise left.pop(0)
        return answer

    return ask


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.cli.patience.PAUSE", 0.0)
    monkeypatch.setattr(get, "POLL", 0.0)


@pytest.mark.parametrize("error", AWAY, ids=repr)
def test_a_gateway_that_is_away_is_asked_again(error: Exception, capfd: pytest.CaptureFixture[str]) -> None:
    assert asked_again(_failing([error] * 20, "answer")) == "answer"
    assert capfd.readouterr().err.count("It is asked again") == 1


@pytest.mark.parametrize("kind", [kind for kind in errors.STATUS if not issubclass(kind, errors.Unavailable)])
def test_whatever_else_is_wrong_ends_it(kind: type[errors.OrbitalError]) -> None:
    with pytest.raises(kind):
        asked_again(_failing([kind("no")], "answer"))


class Ended(Exception):
    """The end of what would go on for ever."""


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.name)
def test_only_news_is_printed(noun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {column.field for column in noun.columns} | {"name", "region"}
    before = dict.fromkeys(fields, "x")
    shown: list[Any] = []
    monkeypatch.setattr(get, "_show", lambda _noun, rows, _output: shown.append(rows))
    for field in sorted(fields):
        after = {**before, field: "y"}
        answers = [[after], [after]]

        class One:
            matches = staticmethod(lambda *_: True)

            @staticmethod
            def rows(*_: Any, left: list[Any] = answers) -> Any:
                if not left:
                    raise Ended
                return left.pop(0)

        shown.clear()
        watched: Any = One
        nothing: Any = None
        with pytest.raises(Ended):
            get._watch(nothing, watched, nothing, None, "table", [before])
        assert len(shown) == (0 if field in get.RESTLESS else 1), field
