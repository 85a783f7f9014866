"""What tests/system says of lane 0 and of the broker's door, on the broker that was chosen."""

from tests.system.test_broker_policy import (
    test_a_name_with_a_password_is_no_identity,
    test_a_refusal_is_kept_with_its_reason,
    test_a_region_may_do_nothing_at_the_broker_but_read_its_own_lanes,
    test_a_region_uses_mqtt_under_its_own_name_for_its_own_lanes,
    test_nobody_but_the_broker_may_ask,
    test_nobody_ends_another_regions_session,
    test_nobody_enters_by_mqtt_as_somebody_else,
    test_the_broker_knows_nobody_else,
    test_without_policy_readers_go_on_and_nobody_new_comes_in,
)
from tests.system.test_region_revocation import test_a_revoked_region_is_cut_off_and_comes_back_by_a_token_alone, whole
from tests.system.test_transports import (
    test_a_message_that_is_forged_at_the_broker_is_told_by_this_path_too,
    test_a_revocation_needs_only_one_path_that_lives,
    test_a_revocation_takes_every_path_and_the_trace_shows_each_and_its_time,
)

__all__ = [
    "test_a_message_that_is_forged_at_the_broker_is_told_by_this_path_too",
    "test_a_name_with_a_password_is_no_identity",
    "test_a_refusal_is_kept_with_its_reason",
    "test_a_region_may_do_nothing_at_the_broker_but_read_its_own_lanes",
    "test_a_region_uses_mqtt_under_its_own_name_for_its_own_lanes",
    "test_a_revocation_needs_only_one_path_that_lives",
    "test_a_revocation_takes_every_path_and_the_trace_shows_each_and_its_time",
    "test_a_revoked_region_is_cut_off_and_comes_back_by_a_token_alone",
    "test_nobody_but_the_broker_may_ask",
    "test_nobody_ends_another_regions_session",
    "test_nobody_enters_by_mqtt_as_somebody_else",
    "test_the_broker_knows_nobody_else",
    "test_without_policy_readers_go_on_and_nobody_new_comes_in",
    "whole",
]
