package orbital.authz.report_test

import data.orbital.authz.report

item := {
	"id": "a", "kind": "LINK_KEY", "outcome": "DONE",
	"tenant": "acme", "resource": "tenants/acme/links/core", "generation": 3,
}

other := object.union(item, {"id": "b", "outcome": "STALE"})

batch := {"principal": "spiffe://orbital/region/eu10", "region": "eu10", "reports": [item, other]}

decide(changes) := found if {
	found := report.decisions with input as object.union(batch, changes)
}

test_region_reports_for_itself if {
	decide({}) == {"allowed": {"a", "b"}, "denied": []}
}

test_region_does_not_report_for_another if {
	found := decide({"region": "us20"})
	count(found.allowed) == 0
	[denial.reason | some denial in found.denied] == ["REGION_MISMATCH", "REGION_MISMATCH"]
	contains(found.denied[0].message, `spiffe://orbital/region/eu10 may not report for region "us20"`)
}

test_nobody_but_a_region_reports if {
	every principal in ["", "spiffe://orbital/person/operator", "spiffe://orbital/region/", null] {
		count(decide({"principal": principal}).allowed) == 0
	}
	count(decide({"principal": "spiffe://orbital/region/", "region": ""}).allowed) == 0
}

test_unknown_outcome_is_denied if {
	found := decide({"reports": [object.union(item, {"outcome": "PERHAPS"}), other]})
	found.allowed == {"b"}
	found.denied[0].reason == "UNKNOWN_OUTCOME"
	contains(found.denied[0].message, "CANCELLED, DENIED, DONE, FAILED, PARKED, STALE, WAITING")
	none := decide({"reports": [object.remove(item, ["outcome"])]})
	none.denied[0].reason == "UNKNOWN_OUTCOME"
}

test_report_of_a_foreign_resource_is_denied if {
	found := decide({"reports": [object.union(item, {"tenant": "other"})]})
	found.denied[0].reason == "RESOURCE_NOT_ALLOWED"
}

test_each_missing_field_is_denied if {
	every field in {"kind", "outcome", "tenant", "resource", "generation"} {
		found := decide({"reports": [object.remove(item, [field]), other]})
		found.allowed == {"b"}
		count(found.denied) == 1
	}
	every field in {"principal", "region"} {
		found := report.decisions with input as object.remove(batch, [field])
		count(found.allowed) == 0
		count(found.denied) == 2
	}
}

test_one_id_twice_allows_neither if {
	found := decide({"reports": [item, object.union(other, {"id": "a"})]})
	found.allowed == []
	[denial.reason | some denial in found.denied] == ["DUPLICATE_ID", "DUPLICATE_ID"]
}

test_empty_input_allows_nothing if {
	every nothing in [{}, null, "x", [], {"reports": "x"}, {"reports": [null]}, {"region": "eu10", "reports": []}] {
		found := report.decisions with input as nothing
		count(found.allowed) == 0
	}
}

sync_policy := object.union(item, {"kind": "SYNC_POLICY", "tenant": "", "resource": "edge-policies/baseline"})

test_what_belongs_to_no_tenant_is_allowed_as_such if {
	decide({"reports": [sync_policy]}).allowed == {"a"}
	every wrong in [{"tenant": "baseline"}, {"generation": 0}, {"resource": "tenants/acme"}, {"outcome": "PERHAPS"}] {
		count(decide({"reports": [object.union(sync_policy, wrong)]}).allowed) == 0
	}
}
