"""What every test run begins with."""

# Its plugin imports it when a run ends, where CPython 3.11 may fail to parse a module while it collects garbage.
import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# How long one example takes says how busy the machine is.
hypothesis.settings.register_profile("orbital", deadline=None)
hypothesis.settings.load_profile("orbital")


class BySuite(LoadScopeScheduling):
    """A file of unit tests goes to whichever process is free; another suite has servers, and runs in one process."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        # In the order in which the suites are named, not the largest first.
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        suite = "/".join(file.split("/")[:2])
        return file if suite == "tests/unit" else suite


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return BySuite(config, log)
