package orbital.authz.probe_test

import data.orbital.authz.probe

openbao := {"id": "openbao", "component": "openbao", "depth": "health", "seconds": 1}

hsm := {"id": "hsm", "component": "hsm", "depth": "operation", "seconds": 1}

eu10 := {"config": {"labels": {"region": "eu10", "component": "region"}}}

decide(asked) := found if {
	found := probe.decisions with input as asked with opa.runtime as eu10
}

reason(changed) := found.denied[0].reason if {
	found := decide({"region": "eu10", "probes": [object.union(openbao, changed), hsm]})
	found.allowed == {"hsm"}
	count(found.denied) == 1
}

test_every_lawful_probe_is_allowed if {
	decide({"region": "eu10", "probes": [openbao, hsm]}) == {"allowed": {"openbao", "hsm"}, "denied": []}
}

test_what_is_wrong_with_a_probe_is_said if {
	reason({"id": "other"}) == "UNKNOWN_PROBE"
	reason({"component": "hsm"}) == "COMPONENT_MISMATCH"
	reason({"depth": "operation"}) == "DEPTH_NOT_ALLOWED"
	reason({"seconds": 0.01}) == "TOO_OFTEN"
	reason({"seconds": "1"}) == "TOO_OFTEN"
}

test_another_region_gets_no_permission_here if {
	found := decide({"region": "us20", "probes": [openbao]})
	count(found.allowed) == 0
	found.denied == [{
		"id": "openbao",
		"reason": "REGION_MISMATCH",
		"message": `This policy engine answers for region "eu10", not for "us20".`,
	}]
}

test_engine_without_a_region_allows_nothing if {
	every runtime in [{}, {"config": {"labels": {}}}, {"config": {"labels": {"region": ""}}}] {
		found := probe.decisions with input as {"region": "", "probes": [openbao]} with opa.runtime as runtime
		count(found.allowed) == 0
		found.denied[0].reason == "REGION_MISMATCH"
	}
}

test_each_missing_field_is_denied if {
	every field in {"id", "component", "depth", "seconds"} {
		found := decide({"region": "eu10", "probes": [object.remove(openbao, [field])]})
		count(found.allowed) == 0
	}
	found := decide({"probes": [openbao]})
	count(found.allowed) == 0
	count(found.denied) == 1
}

test_one_id_twice_allows_neither if {
	found := decide({"region": "eu10", "probes": [openbao, openbao]})
	found.allowed == []
	[denial.reason | some denial in found.denied] == ["DUPLICATE_ID", "DUPLICATE_ID"]
}

test_empty_input_allows_nothing if {
	every nothing in [{}, null, "x", [], {"region": "eu10"}, {"region": "eu10", "probes": "x"}, {"probes": [null]}] {
		allowed := {id | some id in decide(nothing).allowed}
		count(allowed) == 0
	}
}
