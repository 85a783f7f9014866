package orbital.authz.approval_test

import data.orbital.authz.approval

officer := "spiffe://orbital/person/officer"

operator := "spiffe://orbital/person/operator"

now := time.parse_rfc3339_ns("2026-11-24T04:00:00Z")

request := {
	"id": "r-1",
	"act": "approve",
	"what": "restore acme",
	"asked_by": operator,
	"expires_at": "2026-11-24T04:15:00Z",
}

decide(principal, asked) := decided if {
	decided := approval.decisions with input as {"principal": principal, "requests": [asked]} with time.now_ns as now
}

refused(principal, asked, reason) if {
	decided := decide(principal, asked)
	decided.allowed == set()
	[one] := decided.denied
	one.id == object.get(asked, "id", "")
	one.reason == reason
	one.message != ""
}

test_another_person_approves if {
	decide(officer, request) == {"allowed": {"r-1"}, "denied": []}
}

test_whoever_asked_does_not if {
	refused(operator, request, "FOUR_EYES")
	contains(decide(operator, request).denied[0].message, "another person has to approve")
}

test_only_people_do if {
	every principal in ["", "spiffe://orbital/region/eu10", "spiffe://orbital/person/", null] {
		refused(principal, request, "FOUR_EYES")
	}
}

test_too_late_is_too_late if {
	every end in ["2026-11-24T04:00:00Z", "2026-11-24T03:59:59.5Z", "soon"] {
		refused(officer, object.union(request, {"expires_at": end}), "REQUEST_EXPIRED")
	}
}

test_declining_is_for_everybody_who_may_call if {
	every person in [officer, operator] {
		decide(person, object.union(request, {"act": "decline"})).allowed == {"r-1"}
	}
	refused("spiffe://orbital/region/eu10", object.union(request, {"act": "decline"}), "FOUR_EYES")
}

test_each_missing_field_is_refused if {
	refused(officer, object.remove(request, ["act"]), "NOT_ALLOWED")
	refused(officer, object.remove(request, ["asked_by"]), "FOUR_EYES")
	refused(officer, object.remove(request, ["expires_at"]), "REQUEST_EXPIRED")
	refused(officer, object.remove(request, ["id"]), "NOT_ALLOWED")
	refused(officer, {}, "FOUR_EYES")
}

test_nothing_is_asked_by_an_empty_input if {
	approval.decisions == {"allowed": set(), "denied": []} with input as {}
}
