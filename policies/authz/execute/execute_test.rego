package orbital.authz.execute_test

import data.orbital.authz.execute

task := {
	"id": "a", "kind": "LINK_KEY", "lane": 1, "region": "eu10",
	"tenant": "acme", "resource": "tenants/acme/links/core", "generation": 3,
}

other := object.union(task, {"id": "b"})

eu10 := {"config": {"labels": {"region": "eu10", "component": "region"}}}

decide(asked) := found if {
	found := execute.decisions with input as asked with opa.runtime as eu10
}

test_every_lawful_task_is_allowed if {
	decide({"region": "eu10", "policy_age": 0, "tasks": [task, other]}) == {"allowed": {"a", "b"}, "denied": []}
}

test_task_of_another_region_is_denied if {
	found := decide({"region": "eu10", "policy_age": 0, "tasks": [task, object.union(other, {"region": "us20"})]})
	found.allowed == {"a"}
	found.denied == [{
		"id": "b",
		"reason": "REGION_MISMATCH",
		"message": `The task is for region "us20", and this is "eu10".`,
	}]
}

test_another_region_gets_no_permission_here if {
	found := decide({"region": "us20", "policy_age": 0, "tasks": [object.union(task, {"region": "us20"})]})
	count(found.allowed) == 0
	found.denied[0].reason == "REGION_MISMATCH"
	found.denied[0].message == `This policy engine answers for region "eu10", not for "us20".`
}

test_engine_without_a_region_allows_nothing if {
	every runtime in [{}, {"config": {"labels": {}}}, {"config": {"labels": {"region": ""}}}] {
		found := execute.decisions with input as {"region": "", "policy_age": 0, "tasks": [object.union(task, {"region": ""})]}
			with opa.runtime as runtime
		count(found.allowed) == 0
	}
}

test_what_is_wrong_with_a_task_is_said if {
	found := decide({"region": "eu10", "policy_age": 0, "tasks": [object.union(task, {"lane": 2})]})
	found.denied[0].reason == "LANE_MISMATCH"
}

test_each_missing_field_is_denied if {
	every field in {"kind", "lane", "region", "tenant", "resource", "generation"} {
		found := decide({"region": "eu10", "policy_age": 0, "tasks": [object.remove(task, [field]), other]})
		found.allowed == {"b"}
		count(found.denied) == 1
	}
	found := decide({"policy_age": 0, "tasks": [task]})
	count(found.allowed) == 0
	count(found.denied) == 1
}

test_one_id_twice_allows_neither if {
	found := decide({"region": "eu10", "policy_age": 0, "tasks": [task, object.union(task, {"tenant": "other"})]})
	found.allowed == []
	[denial.reason | some denial in found.denied] == ["DUPLICATE_ID", "DUPLICATE_ID"]
}

test_empty_input_allows_nothing if {
	every nothing in [{}, null, "x", [], {"region": "eu10"}, {"region": "eu10", "policy_age": 0, "tasks": "x"}, {"policy_age": 0, "tasks": [null]}] {
		found := decide(nothing)
		count(found.allowed) == 0
	}
}

sync_policy := object.union(task, {"kind": "SYNC_POLICY", "lane": 2, "tenant": "", "resource": "edge-policies/baseline"})

test_what_belongs_to_no_tenant_is_allowed_as_such if {
	decide({"region": "eu10", "policy_age": 0, "tasks": [sync_policy]}) == {"allowed": {"a"}, "denied": []}
	every wrong in [{"tenant": "baseline"}, {"lane": 1}, {"generation": 0}, {"resource": "tenants/acme"}, {"region": "us20"}] {
		count(decide({"region": "eu10", "policy_age": 0, "tasks": [object.union(sync_policy, wrong)]}).allowed) == 0
	}
}

test_what_is_held_back_says_why if {
	found := decide({"region": "eu10", "tasks": [task]})
	found.allowed == set()
	found.denied[0].reason == "STALE_POLICY"
	lane_0 := object.union(task, {"kind": "UNLINK_KEY", "lane": 0})
	count(decide({"region": "eu10", "tasks": [lane_0]}).allowed) == 1
}
