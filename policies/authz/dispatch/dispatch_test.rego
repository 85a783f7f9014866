package orbital.authz.dispatch_test

import data.orbital.authz.dispatch

task := {
	"id": "a", "kind": "LINK_KEY", "lane": 1, "region": "eu10",
	"tenant": "acme", "resource": "tenants/acme/links/core", "generation": 3,
}

other := object.union(task, {"id": "b"})

test_every_lawful_task_is_allowed if {
	dispatch.decisions == {"allowed": {"a", "b"}, "denied": []} with input as {"policy_age": 0, "tasks": [task, other]}
}

test_every_kind_on_its_lane if {
	kinds := {
		"UNLINK_KEY": {"tenants/acme", "tenants/acme/links/core"},
		"DEFINE_TENANT": {"tenants/acme"},
		"DEFINE_KEY": {"tenants/acme/systems/core", "tenants/acme/systems/core/services/billing"},
		"LINK_KEY": {"tenants/acme/links/core"},
		"ROTATE_KEY": {"tenants/acme/systems/core", "tenants/acme/systems/core/services/billing"},
		"EMERGENCY_ROTATE": {"tenants/acme/systems/core", "tenants/acme/systems/core/services/billing"},
		"PURGE_KEY": {"tenants/acme/systems/core", "tenants/acme/systems/core/services/billing"},
		"RETIRE_TENANT": {"tenants/acme"},
		"SYNC_METADATA": {
			"tenants/acme", "tenants/acme/links/core",
			"tenants/acme/systems/core", "tenants/acme/systems/core/services/billing",
		},
	}
	object.keys(kinds) | {"SYNC_POLICY"} == object.keys(data.orbital.kinds)
	every kind, resources in kinds {
		every resource in resources {
			lane := data.orbital.kinds[kind].lane
			lawful := object.union(task, {"kind": kind, "lane": lane, "resource": resource})
			dispatch.decisions == {"allowed": {"a"}, "denied": []} with input as {"policy_age": 0, "tasks": [lawful]}
				with data.orbital.freezes.windows as []
		}
	}
}

test_only_the_wrong_one_is_denied if {
	wrong := object.union(other, {"lane": 0})
	found := dispatch.decisions with input as {"policy_age": 0, "tasks": [task, wrong]}
	found.allowed == {"a"}
	[denial.id | some denial in found.denied] == ["b"]
	found.denied[0].reason == "LANE_MISMATCH"
}

test_each_missing_field_is_denied if {
	every field in {"kind", "lane", "region", "tenant", "resource", "generation"} {
		found := dispatch.decisions with input as {"policy_age": 0, "tasks": [object.remove(task, [field]), other]}
		found.allowed == {"b"}
		count(found.denied) == 1
	}
}

test_no_region_is_denied if {
	every region in {"", 7, null} {
		found := dispatch.decisions with input as {"policy_age": 0, "tasks": [object.union(task, {"region": region})]}
		found.allowed == set()
		found.denied[0].reason == "NOT_ALLOWED"
	}
}

test_one_id_twice_allows_neither if {
	stolen := object.union(task, {"resource": "tenants/other/links/core"})
	found := dispatch.decisions with input as {"policy_age": 0, "tasks": [task, stolen]}
	found.allowed == []
	[denial.reason | some denial in found.denied] == ["DUPLICATE_ID", "DUPLICATE_ID"]
}

test_two_lawful_tasks_of_one_id_are_denied_as_well if {
	found := dispatch.decisions with input as {"policy_age": 0, "tasks": [task, task]}
	found.allowed == []
}

test_no_id_allows_nothing if {
	found := dispatch.decisions with input as {"policy_age": 0, "tasks": [object.remove(task, ["id"]), other]}
	found.allowed == []
	count(found.denied) == 2
}

test_empty_input_allows_nothing if {
	every nothing in [{}, null, "x", [], {"policy_age": 0, "tasks": null}, {"policy_age": 0, "tasks": "x"}, {"policy_age": 0, "tasks": []}, {"policy_age": 0, "tasks": [null]}] {
		found := dispatch.decisions with input as nothing
		count(found.allowed) == 0
	}
}

sync_policy := object.union(task, {"kind": "SYNC_POLICY", "lane": 2, "tenant": "", "resource": "edge-policies/baseline"})

test_what_belongs_to_no_tenant_is_allowed_as_such if {
	found := dispatch.decisions with input as {"policy_age": 0, "tasks": [sync_policy]}
	found == {"allowed": {"a"}, "denied": []}
	every wrong in [{"tenant": "baseline"}, {"lane": 1}, {"generation": 0}, {"resource": "tenants/acme"}, {"region": ""}] {
		refused := dispatch.decisions with input as {"policy_age": 0, "tasks": [object.union(sync_policy, wrong)]}
		count(refused.allowed) == 0
	}
}

test_what_is_held_back_says_why if {
	found := dispatch.decisions with input as {"tasks": [task]}
	found.allowed == set()
	found.denied[0].reason == "STALE_POLICY"
	lane_0 := object.union(task, {"kind": "UNLINK_KEY", "lane": 0})
	count(dispatch.decisions.allowed) == 1 with input as {"tasks": [lane_0]}
}
