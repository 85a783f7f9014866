"""What every test run begins with."""

# Its plugin imports it when a run ends, where CPython 3.11 may fail to parse a module while it collects garbage.
import hypothesis

# How long one example takes says how busy the machine is.
hypothesis.settings.register_profile("orbital", deadline=None)
hypothesis.settings.load_profile("orbital")
