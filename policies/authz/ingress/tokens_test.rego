package orbital.authz.ingress_test

import data.orbital.authz.ingress

# Whom a token names -------------------------------------------------------------------------------------------------

test_a_token_without_a_name_is_refused if {
	every claims in [{}, {"region": ""}, {"region": 20}, {"region": "us20/../eu10"}, {"region": ["us20"]}, {"other": "us20"}] {
		decided := at_gateway(object.union(grpc("", report), with_token(claims)))
		refused(decided, 401, "NO_NAME_IN_TOKEN")
		contains(decided.body, "claim region")
	}
}

by(issuer, claims) := object.union(grpc("", report), verified("jwt_payload", object.union({"iss": issuer, "exp": 33000000000}, claims)))

test_each_issuer_has_its_claim_and_prefix if {
	good := by("https://foreign", {"orbital": {"site": "region:us20"}})
	decided := at_gateway(object.union(good, {"parsed_body": {"region": "us20"}}))
	decided.allowed == true
	decided.headers["x-orbital-principal"] == "spiffe://orbital/region/us20"
	every claims in [
		{"region": "us20"},
		{"orbital": "region:us20"},
		{"orbital": {"site": "us20"}},
		{"orbital": {"site": "region:"}},
		{"orbital": {"site": 7}},
		{"orbital.site": "region:us20"},
	] {
		refused(at_gateway(by("https://foreign", claims)), 401, "NO_NAME_IN_TOKEN")
	}
	refused(at_gateway(by("https://ias", {"region": "region:us20"})), 401, "NO_NAME_IN_TOKEN")
}

test_an_unknown_issuer_names_nobody if {
	refused(at_gateway(by("https://stranger", {"region": "us20"})), 401, "UNKNOWN_ISSUER")
	refused(at_gateway(by("https://people", {"region": "us20", "person": "operator"})), 401, "UNKNOWN_ISSUER")
	nobody := object.union(grpc("", report), verified("jwt_payload", {"region": "us20"}))
	refused(at_gateway(nobody), 401, "UNKNOWN_ISSUER")
	by_region := object.union(grpc("", declare), verified("person_payload", {"iss": "https://ias", "person": "operator"}))
	refused(at_gateway(by_region), 401, "UNKNOWN_ISSUER")
}

test_without_issuers_no_token_counts if {
	asked := by("https://ias", {"region": "us20"})
	decided := ingress.decision with input as asked with opa.runtime as gateway with data.orbital.issuers as {}
	refused(decided, 401, "UNKNOWN_ISSUER")
}

# People with a token ------------------------------------------------------------------------------------------------

page(payload) := object.union(object.union(http("", "GET", "/fleet"), with_person(payload)), at_console)

test_person_with_a_token_has_the_roles_of_that_name if {
	decided := at_gateway(object.union(grpc("", declare), with_person({"person": "operator"})))
	decided.allowed == true
	decided.headers == {"x-orbital-principal": operator, "x-orbital-identity-end": "33000000000"}
	refused(at_gateway(object.union(grpc("", declare), with_person({"person": "auditor"}))), 403, "ROLE_MISSING")
}

now := 1795000000

kill := "/orbital.v1.RegistryService/Kill"

logged_in(name, at) := with_person({"person": name, "auth_time": at})

at_gateway_now(asked) := decided if {
	decided := at_gateway(asked) with time.now_ns as now * 1000000000 with data.orbital.limits as {"fresh_login_seconds": 300}
}

test_a_kill_and_an_approval_want_a_fresh_login if {
	every path in [kill, "/orbital.v1.ApprovalService/Approve"] {
		at_gateway_now(object.union(grpc("", path), logged_in("officer", now - 300))).allowed == true
		late := at_gateway_now(object.union(grpc("", path), logged_in("officer", now - 301)))
		refused(late, 403, "LOGIN_TOO_OLD")
		contains(late.body, "within the last 300 seconds")
		refused(at_gateway_now(object.union(grpc("", path), logged_in("auditor", now))), 403, "ROLE_MISSING")
	}
}

test_a_login_that_does_not_say_when_is_old if {
	every claims in [{"person": "officer"}, {"person": "officer", "auth_time": "now"}, {"person": "officer", "auth_time": null}] {
		refused(at_gateway_now(object.union(grpc("", kill), with_person(claims))), 403, "LOGIN_TOO_OLD")
	}
}

test_asking_what_a_kill_would_do_wants_none if {
	asked := object.union(grpc("", kill), logged_in("officer", now - 900))
	at_gateway_now(object.union(asked, {"parsed_body": {"tenant": "acme", "validateOnly": true}})).allowed == true
	refused(at_gateway_now(object.union(asked, {"parsed_body": {"validateOnly": false}})), 403, "LOGIN_TOO_OLD")
	refused(at_gateway_now(object.union(asked, {"parsed_body": {"validateOnly": "true"}})), 403, "LOGIN_TOO_OLD")
}

test_certificates_know_no_login if {
	at_gateway_now(grpc(operator, kill)).allowed == true
}

test_officer_kills_and_declares_nothing if {
	officer := logged_in("officer", now)
	at_gateway_now(object.union(grpc("", kill), officer)).allowed == true
	refused(at_gateway(object.union(grpc("", declare), officer)), 403, "ROLE_MISSING")
}

test_pages_are_for_people_with_a_role if {
	every name in ["operator", "officer", "auditor"] {
		at_gateway(page({"person": name})).allowed == true
	}
	decided := at_gateway(page({"person": "stranger"}))
	refused(decided, 403, "NO_ROLE")
	contains(decided.body, "has no role")
}

test_pages_are_for_nobody_else if {
	every payload in [{}, {"person": ""}, {"person": 7}, {"person": "../operator"}, {"region": "us20"}] {
		refused(at_gateway(page(payload)), 401, "NO_NAME_IN_TOKEN")
	}
	refused(at_gateway(object.union(http("", "GET", "/fleet"), at_console)), 401, "NO_IDENTITY")
	refused(at_region(page({"person": "operator"})), 403, "NO_ROLE")
	at_gateway(object.union(http(operator, "GET", "/fleet"), at_console)).allowed == false
	without := object.union(http("", "GET", "/fleet"), with_person({"person": "operator"}))
	refused(at_gateway(without), 403, "UNKNOWN_METHOD")
}

test_a_token_is_of_a_person_or_of_a_region if {
	both := object.union(with_person({"person": "operator"}), with_token({"region": "us20"}))
	at_gateway(object.union(grpc("", declare), both)).allowed == false
	claimed := with_token({"person": "operator"})
	refused(at_gateway(object.union(grpc("", declare), claimed)), 401, "NO_NAME_IN_TOKEN")
}
