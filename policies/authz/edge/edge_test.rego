package orbital.authz.edge_test

import data.orbital.authz.edge

workload := "spiffe://orbital/workload/acme/core/billing"

open := {"callers": [], "below": [], "systems": [], "services": [], "operations": []}

policy := {"killed": {"gone": 4}, "allow": {"*": [open]}, "deny": {}}

call(path, body) := {
	"attributes": {
		"source": {"principal": workload},
		"request": {"http": {"method": "POST", "path": path, "headers": {"content-type": "application/grpc", "x-orbital-certificate-end": "33000000000"}}},
	},
	"parsed_body": body,
	"truncated_body": false,
}

scope := {"tenant": "acme", "system": "core", "service": "billing"}

wrap := call("/orbital.v1.CryptoService/Wrap", scope)

decide(asked, given) := found if {
	found := edge.decision with input as asked with data.orbital.edge as given
}

reason(asked, given) := decide(asked, given).reason

test_allowed_call_says_on_whose_behalf_it_is if {
	decide(wrap, policy) == {"allowed": true, "headers": {"x-orbital-on-behalf-of": workload}}
}

test_nothing_passes_without_a_policy if {
	decide(wrap, {}).allowed == false
	decide(wrap, {"allow": policy.allow, "deny": {}}).allowed == false
	reason(wrap, {"killed": {}}) == "EDGE_NOT_ALLOWED"
	not decide(wrap, null).allowed
}

test_killed_tenant_passes_nothing if {
	gone := call("/orbital.v1.CryptoService/Unwrap", object.union(scope, {"tenant": "gone"}))
	found := decide(gone, policy)
	found.reason == "TENANT_KILLED"
	found.http_status == 403
	found.headers["x-orbital-reason"] == "TENANT_KILLED"
}

test_each_field_of_a_rule_narrows_it if {
	every field, value in {
		"callers": "spiffe://orbital/workload/other/core/billing",
		"below": "spiffe://orbital/workload/other/",
		"systems": "other",
		"services": "other",
		"operations": "unwrap",
	} {
		narrowed := object.union(policy, {"allow": {"*": [object.union(open, {field: [value]})]}})
		reason(wrap, narrowed) == "EDGE_NOT_ALLOWED"
	}
	every field, value in {
		"callers": workload,
		"below": "spiffe://orbital/workload/acme/",
		"systems": "core",
		"services": "billing",
		"operations": "wrap",
	} {
		fitting := object.union(policy, {"allow": {"*": [object.union(open, {field: [value]})]}})
		decide(wrap, fitting).allowed
	}
}

test_rules_are_filed_by_tenant if {
	decide(wrap, {"killed": {}, "allow": {"acme": [open]}, "deny": {}}).allowed
	reason(wrap, {"killed": {}, "allow": {"other": [open]}, "deny": {}}) == "EDGE_NOT_ALLOWED"
}

test_denial_goes_before_permission if {
	reason(wrap, object.union(policy, {"deny": {"acme": [open]}})) == "EDGE_DENIED"
	reason(wrap, object.union(policy, {"deny": {"*": [open]}})) == "EDGE_DENIED"
	decide(wrap, object.union(policy, {"deny": {"other": [open]}})).allowed
}

test_batches_count_as_their_operation if {
	every method, word in {
		"Wrap": "wrap", "BatchWrap": "wrap", "Unwrap": "unwrap", "BatchUnwrap": "unwrap",
		"Rewrap": "rewrap", "BatchRewrap": "rewrap", "GenerateDataKey": "generate-data-key",
	} {
		asked := call(concat("", ["/orbital.v1.CryptoService/", method]), scope)
		decide(asked, {"killed": {}, "allow": {"*": [object.union(open, {"operations": [word]})]}, "deny": {}}).allowed
	}
}

test_what_is_no_such_call_is_refused if {
	reason(call("/orbital.v1.RegistryService/Kill", {}), policy) == "UNKNOWN_METHOD"
	reason(object.union(wrap, {"attributes": {"source": {"principal": ""}}}), policy) == "NO_IDENTITY"
	reason(object.union(wrap, {"attributes": {"source": {"principal": "spiffe://other/x"}}}), policy) == "NO_IDENTITY"
	cut := decide(object.union(wrap, {"truncated_body": true}), policy)
	cut.reason == "REQUEST_TOO_LARGE"
	cut.headers["grpc-status"] == "3"
	plain := {"attributes": {"request": {"http": {"headers": {"content-type": "application/json"}}}}}
	not decide(object.union(wrap, plain), policy).allowed
}

test_missing_input_is_refused if {
	reason({"attributes": {"source": {"principal": workload}}}, policy) == "IDENTITY_ENDED"
	reason(json.remove(wrap, ["/attributes/request/http/path"]), policy) == "UNKNOWN_METHOD"
	every nothing in [{}, null, "x", [], {"attributes": {}}, {"parsed_body": scope}] {
		decide(nothing, policy).allowed == false
	}
	every field in ["truncated_body", "parsed_body", "attributes"] {
		decide(object.remove(wrap, [field]), policy).allowed == false
	}
	every field in ["tenant"] {
		asked := call("/orbital.v1.CryptoService/Wrap", object.remove(scope, [field]))
		decide(asked, policy).allowed == false
	}
	every field in ["system", "service"] {
		narrow := object.union(policy, {"allow": {"*": [object.union(open, {concat("", [field, "s"]): ["core", "billing"]})]}})
		decide(call("/orbital.v1.CryptoService/Wrap", object.remove(scope, [field])), narrow).allowed == false
	}
}

test_a_certificate_that_has_ended_passes_nothing if {
	passes := edge.decision with input as wrap with data.orbital.edge as policy with time.now_ns as 32999999999000000000
	passes.allowed == true
	ended := edge.decision with input as wrap with data.orbital.edge as policy with time.now_ns as 33000000000000000000
	ended.reason == "IDENTITY_ENDED"
	ended.http_status == 401
	every headers in [{}, {"x-orbital-certificate-end": "-"}] {
		asked := json.patch(wrap, [{"op": "replace", "path": "/attributes/request/http/headers", "value": headers}])
		reason(asked, policy) == "IDENTITY_ENDED"
	}
}
