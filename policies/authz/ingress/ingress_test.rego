package orbital.authz.ingress_test

import data.orbital.authz.ingress

gateway := {"config": {"labels": {"component": "gateway", "region": "global"}}}

region := {"config": {"labels": {"component": "region", "region": "eu10"}}}

grpc(principal, path) := {
	"attributes": {
		"source": {"principal": principal},
		"request": {"http": {"method": "POST", "path": path, "headers": {"content-type": "application/grpc", "x-orbital-certificate-end": "33000000000"}}},
	},
	"truncated_body": false,
}

http(principal, method, path) := {
	"attributes": {
		"source": {"principal": principal},
		"request": {"http": {"method": method, "path": path, "headers": {"x-orbital-certificate-end": "33000000000"}}},
	},
	"truncated_body": false,
}

issuers := {
	"region": {
		"https://ias": {"claim": ["region"], "prefix": ""},
		"https://foreign": {"claim": ["orbital", "site"], "prefix": "region:"},
	},
	"person": {"https://people": {"claim": ["person"], "prefix": ""}},
}

verified(name, payload) := {"attributes": {"metadataContext": {"filterMetadata": {"envoy.filters.http.jwt_authn": {name: payload}}}}}

with_token(claims) := verified("jwt_payload", object.union({"iss": "https://ias", "exp": 33000000000}, claims))

with_person(claims) := verified("person_payload", object.union({"iss": "https://people", "exp": 33000000000}, claims))

at_console := {"attributes": {"contextExtensions": {"listener": "console"}}}

with_header(name, value) := {"attributes": {"request": {"http": {"headers": {name: value}}}}}

operator := "spiffe://orbital/person/operator"

auditor := "spiffe://orbital/person/auditor"

eu10 := "spiffe://orbital/region/eu10"

workload := "spiffe://orbital/workload/acme/core/billing"

billing := {"tenant": "acme", "system": "core", "service": "billing"}

declare := "/orbital.v1.RegistryService/Declare"

report := "/orbital.v1.ReportService/Report"

subscribe := "/orbital.v1.DispatchService/Subscribe"

wrap := "/orbital.v1.CryptoService/Wrap"

at_gateway(asked) := decided if {
	decided := ingress.decision with input as asked with opa.runtime as gateway with data.orbital.issuers as issuers
}

at_region(asked) := decided if {
	decided := ingress.decision with input as asked with opa.runtime as region with data.orbital.issuers as issuers
}

refused(decided, status, reason) if {
	decided.allowed == false
	decided.http_status == status
	decided.reason == reason
	decided.headers["x-orbital-reason"] == reason
	decided.body != ""
}

test_operator_may_declare_and_is_named if {
	decided := at_gateway(grpc(operator, declare))
	decided.allowed == true
	decided.headers == {"x-orbital-principal": operator, "x-orbital-identity-end": "33000000000"}
	decided.action == declare
}

test_correlation_id_is_kept if {
	asked := object.union(grpc(auditor, declare), with_header("x-orbital-correlation-id", "c-1"))
	at_gateway(asked).correlation_id == "c-1"
}

calls contains [path, place, person] if {
	some path, rpc in data.orbital.rpcs
	some place in ["gateway", "region"]
	rpc.at in {place, "any"}
	some person in [operator, auditor]
}

test_each_rpc_only_for_its_roles if {
	wanted := {[path, place, person] |
		some [path, place, person] in calls
		some role in data.orbital.rpcs[path].roles
		role in ({"anyone"} | {held | some held in data.orbital.roles[person]})
	}
	found := {[path, place, person] |
		some [path, place, person] in calls
		runtime := {"config": {"labels": {"component": place}}}
		decided := ingress.decision with input as grpc(person, path) with opa.runtime as runtime
		decided.allowed == true
	}
	count(wanted) > 30
	found == wanted
}

redeem := "/orbital.v1.EnrolmentService/Redeem"

test_whoever_enrols_has_no_identity_yet if {
	decided := at_gateway(grpc("", redeem))
	decided.allowed == true
	decided.headers == {"x-orbital-principal": ""}
	refused(at_gateway(grpc(eu10, redeem)), 403, "ROLE_MISSING")
	refused(at_gateway(grpc("spiffe://elsewhere/x", redeem)), 401, "NO_IDENTITY")
	refused(at_region(grpc("", redeem)), 401, "NO_IDENTITY")
	refused(at_gateway(object.union(grpc("", redeem), {"truncated_body": true})), 413, "REQUEST_TOO_LARGE")
	refused(at_gateway(http("", "POST", redeem)), 401, "NO_IDENTITY")
}

test_when_a_token_was_issued_is_told if {
	asked := object.union(grpc("", report), with_token({"region": "us20", "iat": 1790000000}))
	decided := at_gateway(object.union(asked, {"parsed_body": {"region": "us20"}}))
	decided.headers["x-orbital-token-issued"] == "1790000000"
}

test_auditor_may_not_declare if {
	decided := at_gateway(grpc(auditor, declare))
	refused(decided, 403, "ROLE_MISSING")
	contains(decided.body, "these may: operator.")
}

test_a_stranger_may_do_nothing_but_ask_for_health if {
	stranger := "spiffe://orbital/person/stranger"
	refused(at_gateway(grpc(stranger, declare)), 403, "ROLE_MISSING")
	at_gateway(grpc(stranger, "/grpc.health.v1.Health/Check")).allowed == true
}

test_nobody_is_refused if {
	every asked in [
		{},
		grpc("", declare),
		grpc("spiffe://elsewhere/person/operator", declare),
		grpc("orbital", declare),
		object.remove(grpc(operator, declare), ["attributes"]),
		object.union(grpc("", declare), verified("jwt_payload", {})),
		object.union(grpc("", declare), verified("person_payload", {})),
	] {
		refused(at_gateway(asked), 401, "NO_IDENTITY")
	}
}

test_certificate_and_token_at_once_are_nobody if {
	asked := object.union(grpc(operator, declare), with_token({"region": "us20"}))
	refused(at_gateway(asked), 401, "NO_IDENTITY")
}

test_each_missing_part_of_the_request_is_refused if {
	asked := grpc(operator, declare)
	refused(at_gateway(object.remove(asked, ["truncated_body"])), 403, "NOT_ALLOWED")
	bare := {"attributes": {"source": {"principal": operator}}, "truncated_body": false}
	refused(at_gateway(bare), 401, "IDENTITY_ENDED")
	no_headers := json.remove(asked, ["/attributes/request/http/headers"])
	refused(at_gateway(no_headers), 401, "IDENTITY_ENDED")
	no_type := json.remove(asked, ["/attributes/request/http/headers/content-type"])
	refused(at_gateway(no_type), 403, "NOT_GRPC")
	no_path := json.remove(asked, ["/attributes/request/http/path"])
	refused(at_gateway(no_path), 403, "UNKNOWN_METHOD")
}

test_unknown_methods_are_refused if {
	every path in ["/orbital.v1.RegistryService/Drop", "/orbital.v1.RegistryService/Kill?x=1", "/", ""] {
		refused(at_gateway(grpc(operator, path)), 403, "UNKNOWN_METHOD")
	}
}

test_only_grpc_is_grpc if {
	every kind in ["application/json", "application/grpc+application/json", ""] {
		refused(at_gateway(object.union(grpc(operator, declare), with_header("content-type", kind))), 403, "NOT_GRPC")
	}
}

test_what_is_served_elsewhere_is_refused if {
	refused(at_gateway(grpc(operator, wrap)), 403, "WRONG_PLACE")
	refused(at_region(grpc(operator, declare)), 403, "WRONG_PLACE")
	nowhere := ingress.decision with input as grpc(operator, declare) with opa.runtime as {}
	refused(nowhere, 403, "WRONG_PLACE")
}

test_cut_off_body_is_refused_as_invalid if {
	decided := at_gateway(object.union(grpc(operator, declare), {"truncated_body": true}))
	refused(decided, 413, "REQUEST_TOO_LARGE")
	decided.headers["grpc-status"] == "3"
	contains(decided.body, "4 MiB")
	contains(at_region(object.union(grpc(operator, wrap), {"truncated_body": true})).body, "256 KiB")
}

test_region_reports_for_itself if {
	at_gateway(object.union(grpc(eu10, report), {"parsed_body": {"region": "eu10"}})).allowed == true
	by_token := object.union(grpc("", report), with_token({"region": "us20"}))
	decided := at_gateway(object.union(by_token, {"parsed_body": {"region": "us20"}}))
	decided.allowed == true
	decided.headers["x-orbital-principal"] == "spiffe://orbital/region/us20"
}

test_region_does_not_speak_for_another if {
	decided := at_gateway(object.union(grpc(eu10, report), {"parsed_body": {"region": "us20"}}))
	refused(decided, 403, "REGION_MISMATCH")
	decided.body == `Region eu10 may speak only for itself, not for "us20".`
	every body in [null, {}, {"region": ""}, {"region": null}, {"region": ["eu10"]}] {
		refused(at_gateway(object.union(grpc(eu10, report), {"parsed_body": body})), 403, "REGION_MISMATCH")
	}
	refused(at_gateway(grpc(eu10, report)), 403, "REGION_MISMATCH")
}

test_region_subscribes_for_itself if {
	at_gateway(object.union(grpc(eu10, subscribe), with_header("x-orbital-region", "eu10"))).allowed == true
	every name in ["us20", "", "eu10,us20"] {
		asked := object.union(grpc(eu10, subscribe), with_header("x-orbital-region", name))
		refused(at_gateway(asked), 403, "REGION_MISMATCH")
	}
	refused(at_gateway(grpc(eu10, subscribe)), 403, "REGION_MISMATCH")
}

test_only_regions_are_regions if {
	refused(at_gateway(grpc(operator, subscribe)), 403, "ROLE_MISSING")
	every name in ["", "EU10", "eu10/x", "-"] {
		who := concat("", ["spiffe://orbital/region/", name])
		asked := object.union(grpc(who, report), {"parsed_body": {"region": name}})
		refused(at_gateway(asked), 403, "ROLE_MISSING")
	}
}

test_workload_uses_its_own_keys if {
	at_region(object.union(grpc(workload, wrap), {"parsed_body": billing})).allowed == true
	at_region(object.union(grpc(operator, wrap), {"parsed_body": billing})).allowed == true
}

test_workload_uses_no_other_keys if {
	every body in [
		null,
		{},
		object.union(billing, {"service": "other"}),
		object.remove(billing, ["service"]),
		{"tenant": "acme/core", "system": "billing"},
	] {
		refused(at_region(object.union(grpc(workload, wrap), {"parsed_body": body})), 403, "WORKLOAD_MISMATCH")
	}
	more := concat("", [workload, "/more"])
	refused(at_region(object.union(grpc(more, wrap), {"parsed_body": billing})), 403, "ROLE_MISSING")
}

test_engines_of_a_region_fetch_and_deliver if {
	at_gateway(http(eu10, "GET", "/bundles/orbital.tar.gz")).allowed == true
	at_gateway(http(eu10, "POST", "/logs/opa-eu10-bulk")).allowed == true
	at_gateway(http(eu10, "POST", "/status/opa-eu10-immediate")).allowed == true
}

test_nobody_delivers_for_another if {
	refused(at_gateway(http(eu10, "POST", "/logs/opa-us20-bulk")), 403, "NOT_A_REGION")
	refused(at_gateway(http(operator, "POST", "/logs/opa-eu10-bulk")), 403, "NOT_A_REGION")
	refused(at_gateway(http(operator, "GET", "/bundles/orbital.tar.gz")), 403, "NOT_A_REGION")
	refused(at_gateway(http(eu10, "GET", "/logs/opa-eu10-bulk")), 403, "UNKNOWN_METHOD")
	refused(at_gateway(http(eu10, "GET", "/bundles/other.tar.gz")), 403, "UNKNOWN_METHOD")
	refused(at_gateway(http("", "GET", "/bundles/orbital.tar.gz")), 401, "NO_IDENTITY")
}

edge := "spiffe://orbital/edge/eu10/edge-1"

on_behalf_of(who) := object.union(
	object.union(grpc(edge, wrap), with_header("x-orbital-on-behalf-of", who)),
	{"parsed_body": billing},
)

test_edge_may_do_what_its_workload_may if {
	decided := at_region(on_behalf_of(workload))
	decided.allowed == true
	decided.headers == {"x-orbital-principal": workload, "x-orbital-identity-end": "33000000000"}
	refused(at_region(on_behalf_of("spiffe://orbital/workload/acme/core/other")), 403, "WORKLOAD_MISMATCH")
}

# Whoever has rights of another kind, and whatever only looks like a workload.
others := array.concat(
	[who | some who, _ in data.orbital.roles],
	[
		operator, auditor, eu10, edge, "", "x", "spiffe://orbital/gateway", "spiffe://orbital/region/us20",
		"spiffe://orbital/edge/eu10/edge-2", "https://orbital/person/operator", "spiffe://other/workload/acme/core/billing",
		"spiffe://orbital/workload", "spiffe://orbital/workload/acme/core", "spiffe://orbital/workload/acme/core/billing/x",
		"spiffe://orbital/workload//core/billing", "spiffe://orbital/workload/../person/operator",
		"spiffe://orbital/workload/acme/core/billing ", "spiffe://orbital/workload/acme/core/billing\nx",
		"spiffe://orbital/workload/acme/core/billing,spiffe://orbital/person/operator",
	],
)

test_edge_is_nobody_but_a_workload if {
	every who in others {
		refused(at_region(on_behalf_of(who)), 403, "NOT_A_WORKLOAD")
	}
	refused(at_region(object.union(grpc(edge, wrap), {"parsed_body": billing})), 403, "NOT_A_WORKLOAD")
}

test_nobody_else_calls_for_another if {
	every who in [auditor, "spiffe://orbital/edge/us20/edge-1", "spiffe://orbital/edge/eu10/a/b"] {
		asked := object.union(on_behalf_of(workload), {"attributes": {"source": {"principal": who}}})
		refused(at_region(asked), 403, "ROLE_MISSING")
	}
	elsewhere := object.union(grpc(edge, declare), with_header("x-orbital-on-behalf-of", operator))
	refused(at_gateway(elsewhere), 403, "ROLE_MISSING")
}

test_edges_of_the_region_fetch_and_deliver if {
	at_region(http(edge, "GET", "/edge/bundle.tar.gz")).headers["x-orbital-principal"] == edge
	at_region(http(edge, "POST", "/edge/status/edge-1")).allowed == true
	refused(at_region(http(edge, "POST", "/edge/status/edge-2")), 403, "NOT_AN_EDGE")
	refused(at_region(http(edge, "POST", "/edge/bundle.tar.gz")), 403, "NOT_AN_EDGE")
	refused(at_region(http(operator, "GET", "/edge/bundle.tar.gz")), 403, "NOT_AN_EDGE")
	refused(at_region(http("spiffe://orbital/edge/us20/edge-1", "GET", "/edge/bundle.tar.gz")), 403, "NOT_AN_EDGE")
	refused(at_gateway(http(edge, "GET", "/edge/bundle.tar.gz")), 403, "NOT_AN_EDGE")
	refused(at_region(http("", "GET", "/edge/bundle.tar.gz")), 401, "NO_IDENTITY")
}
