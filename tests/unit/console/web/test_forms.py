"""The hidden field of forms: good for one person, one path, one hour."""

import pytest

from console.web.forms import LIFE_SECONDS, Forms
from runtime.errors import Denied

KEY = b"k" * 32
OFFICER, AUDITOR, PATH = "spiffe://orbital/person/officer", "spiffe://orbital/person/auditor", "/kill/tenants/acme"


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


def test_field_is_good_for_whoever_it_was_made_for():
    Forms(KEY, Clock()).check(Forms(KEY, Clock()).make(OFFICER, PATH), OFFICER, PATH)


@pytest.mark.parametrize(
    ("key", "principal", "path"),
    [(KEY, AUDITOR, PATH), (KEY, OFFICER, "/kill/tenants/other"), (b"o" * 32, OFFICER, PATH)],
    ids=["person", "path", "key"],
)
def test_field_is_good_for_nothing_else(key, principal, path):
    field = Forms(KEY, Clock()).make(OFFICER, PATH)
    with pytest.raises(Denied) as refused:
        Forms(key, Clock()).check(field, principal, path)
    assert refused.value.reason == "FORM_FORGED"


@pytest.mark.parametrize("field", ["", "x", "AAAA", "A" * 400, "é", "\n"])
def test_garbage_is_refused(field):
    with pytest.raises(Denied):
        Forms(KEY, Clock()).check(field, OFFICER, PATH)


def test_every_changed_character_is_noticed():
    forms = Forms(KEY, Clock())
    field = forms.make(OFFICER, PATH)
    for index in range(len(field.rstrip("=")) - 1):
        changed = field[:index] + ("A" if field[index] != "A" else "B") + field[index + 1 :]
        with pytest.raises(Denied):
            forms.check(changed, OFFICER, PATH)


def test_field_grows_old():
    clock = Clock()
    forms = Forms(KEY, clock)
    field = forms.make(OFFICER, PATH)
    clock.now += LIFE_SECONDS + 1
    with pytest.raises(Denied) as refused:
        forms.check(field, OFFICER, PATH)
    assert refused.value.reason == "FORM_TOO_OLD"


def test_short_key_is_refused():
    with pytest.raises(ValueError, match="short"):
        Forms(b"short", Clock())
