"""Documents that are made from the code are current, and their links lead somewhere."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("maker", "page"), [("make_settings", "reference/settings.md"), ("make_limits", "security/limits.md")]
)
def test_a_page_that_is_made_is_current(maker: str, page: str) -> None:
    spec = importlib.util.spec_from_file_location(maker, ROOT / "docs" / f"{maker}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: str = module.page()
    assert (ROOT / "docs" / page).read_text() == made, f"make it anew: python docs/{maker}.py > docs/{page}"


def test_every_limit_says_its_reason() -> None:
    rows = re.findall(r"^\| `.*$", (ROOT / "docs" / "security" / "limits.md").read_text(), re.MULTILINE)
    assert len(rows) > 40
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_setting_says_what_it_means() -> None:
    rows = re.findall(r"^\| `ORBITAL_.*$", (ROOT / "docs" / "reference" / "settings.md").read_text(), re.MULTILINE)
    assert len(rows) > 40
    assert [row for row in rows if row.rstrip(" |").endswith(("none", "required")) or row.endswith("|  |")] == []


def test_links_between_documents_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "envoy").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)} → {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_changelog_is_wrapped_and_its_items_stand_together() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().split("\n")
    assert [number for number, line in enumerate(lines, 1) if len(line) > 128] == []
    apart = [
        number
        for number, (before, blank, after) in enumerate(zip(lines, lines[1:], lines[2:], strict=False), 2)
        if not blank and after.startswith("- ") and not before.startswith("#")
    ]
    assert apart == []
