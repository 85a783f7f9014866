"""What every test run begins with."""

# Its plugin imports it when a run ends, where CPython 3.11 may fail to parse a module while it collects garbage.
import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# How long one example takes says how busy the machine is.
hypothesis.settings.register_profile("orbital", deadline=None)
hypothesis.settings.load_profile("orbital")

# Those that wait most begin first, so that the others fill the time.
SLOWEST_FIRST = ("system", "integration", "contract")
# Each of these shares one stack, and so one process.
SHARE_A_STACK = {"system"}


class OneProcessAStack(LoadScopeScheduling):
    """In a run of several processes, a file stays in one of them, and so does a suite that shares a stack."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        suite = file.split("/")[1]
        return suite if suite in SHARE_A_STACK else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneProcessAStack:
    return OneProcessAStack(config, log)


def _rank(item: pytest.Item) -> int:
    suite = item.nodeid.split("/")[1]
    return SLOWEST_FIRST.index(suite) if suite in SLOWEST_FIRST else len(SLOWEST_FIRST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)
