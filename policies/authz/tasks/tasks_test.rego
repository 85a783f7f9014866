package orbital.authz.tasks_test

import data.orbital.authz.tasks

task := {
	"id": "a", "kind": "LINK_KEY", "lane": 1, "region": "eu10",
	"tenant": "acme", "resource": "tenants/acme/links/core", "generation": 3,
}

test_distinct if {
	tasks.distinct([{"id": "a"}, {"id": "b"}])
	tasks.distinct([])
	not tasks.distinct([{"id": "a"}, {"id": "a"}])
	not tasks.distinct([{"id": "a"}, {}])
}

reason_of(changed) := tasks.refusal(changed).reason

test_each_reason if {
	reason_of(object.union(task, {"kind": "MAKE_TEA"})) == "UNKNOWN_KIND"
	reason_of(object.union(task, {"generation": 0})) == "GENERATION_MISSING"
	reason_of(object.union(task, {"generation": "3"})) == "GENERATION_MISSING"
	reason_of(object.union(task, {"resource": "tenants/other/links/core"})) == "RESOURCE_NOT_ALLOWED"
	reason_of(object.union(task, {"resource": "tenants/acme/systems/core"})) == "RESOURCE_NOT_ALLOWED"
	reason_of(object.union(task, {"resource": "tenants/acme/links/core/../../x"})) == "RESOURCE_NOT_ALLOWED"
	reason_of(object.union(task, {"lane": 2})) == "LANE_MISMATCH"
	reason_of(task) == "NOT_ALLOWED"
}

test_sentences_say_what_is_right if {
	contains(tasks.refusal(object.union(task, {"kind": "MAKE_TEA"})).message, "SYNC_METADATA")
	tasks.refusal(object.union(task, {"lane": 2})).message == "LINK_KEY travels on lane 1, not on 2."
}

test_nothing_at_all_is_refused if {
	tasks.refusal({}) == {
		"id": "",
		"reason": "UNKNOWN_KIND",
		"message": tasks.refusal({}).message,
	}
}

test_each_missing_field_is_refused if {
	reason_of(object.remove(task, ["kind"])) == "UNKNOWN_KIND"
	reason_of(object.remove(task, ["generation"])) == "GENERATION_MISSING"
	reason_of(object.remove(task, ["tenant"])) == "RESOURCE_NOT_ALLOWED"
	reason_of(object.remove(task, ["resource"])) == "RESOURCE_NOT_ALLOWED"
	reason_of(object.remove(task, ["lane"])) == "NOT_ALLOWED"
}
