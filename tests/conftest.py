"""What every test run begins with."""

# Its plugin imports it when a run ends, where CPython 3.11 may fail to parse a module while it collects garbage.
import hypothesis
import pytest

# How long one example takes says how busy the machine is.
hypothesis.settings.register_profile("orbital", deadline=None)
hypothesis.settings.load_profile("orbital")

# Those that wait most begin first, so that the others fill the time.
SLOWEST_FIRST = ("system", "integration", "contract")
# Each of these shares one stack, and so one process.
SHARE_A_STACK = {"system"}


def _suite(item: pytest.Item) -> str:
    return item.path.relative_to(item.config.rootpath / "tests").parts[0]


def _rank(item: pytest.Item) -> int:
    suite = _suite(item)
    return SLOWEST_FIRST.index(suite) if suite in SLOWEST_FIRST else len(SLOWEST_FIRST)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In a run of several processes, a file stays in one of them, and so does a suite that shares a stack."""
    items.sort(key=_rank)
    for item in items:
        suite = _suite(item)
        item.add_marker(pytest.mark.xdist_group(suite if suite in SHARE_A_STACK else item.path.name))
