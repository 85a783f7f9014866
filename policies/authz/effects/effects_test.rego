package orbital.authz.effects_test

import data.orbital.authz.effects

lane(number, status) := {
	"id": sprintf("eu10/%d", [number]),
	"region": "eu10",
	"lane": number,
	"status": status,
	"reasons": ["openbao OPENBAO_SEALED"],
}

decide(lanes) := found if {
	found := effects.decisions with input as {"lanes": lanes}
}

all_of(status) := [lane(number, status) | some number in [0, 1, 2]]

test_out_of_sync_holds_lane_2_and_says_why if {
	found := decide(all_of("out_of_sync"))
	found.allowed == {"eu10/0", "eu10/1"}
	found.denied == [{
		"id": "eu10/2",
		"reason": "REGION_OUT_OF_SYNC",
		"message": "Lane 2 of eu10 is held until the region is not out of sync any more: openbao OPENBAO_SEALED.",
	}]
}

test_any_other_status_holds_nothing if {
	every status in {"healthy", "degraded", "unknown"} {
		decide(all_of(status)) == {"allowed": {"eu10/0", "eu10/1", "eu10/2"}, "denied": []}
	}
}

test_revocations_are_never_held if {
	every status in object.keys(data.orbital.effects) {
		not 0 in data.orbital.effects[status].hold
	}
}

test_what_is_not_known_does_not_go_on if {
	decide([lane(3, "healthy")]).denied[0].reason == "UNKNOWN_LANE"
	decide([lane(2, "fine")]).denied[0].reason == "UNKNOWN_STATUS"
	every field in {"id", "lane", "status"} {
		found := decide([object.remove(lane(2, "healthy"), [field])])
		count(found.allowed) == 0
		count(found.denied) == 1
	}
}

test_one_id_twice_allows_neither if {
	found := decide([lane(2, "healthy"), lane(2, "healthy")])
	found.allowed == []
	[denial.reason | some denial in found.denied] == ["DUPLICATE_ID", "DUPLICATE_ID"]
}

test_empty_input_allows_nothing if {
	every nothing in [{}, null, "x", []] {
		allowed := {id |
			found := effects.decisions with input as nothing
			some id in found.allowed
		}
		count(allowed) == 0
	}
}
