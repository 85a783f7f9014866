package system.authz_test

import data.system.authz

test_only_what_is_needed_may_be_asked if {
	authz.allow with input as {"method": "GET", "path": ["health"]}
	authz.allow with input as {"method": "GET", "path": ["v1", "status"]}
	authz.allow with input as {"method": "GET", "path": ["v1", "data", "orbital", "signers"]}
	every name in {"dispatch", "execute", "report", "probe", "effects", "broker", "approval"} {
		authz.allow with input as {"method": "POST", "path": ["v1", "data", "orbital", "authz", name, "decisions"]}
	}
}

test_everything_else_is_refused if {
	every asked in [
		{},
		null,
		{"method": "GET"},
		{"path": ["health"]},
		{"method": "POST", "path": ["health"]},
		{"method": "PUT", "path": ["v1", "policies", "x"]},
		{"method": "GET", "path": ["v1", "data"]},
		{"method": "GET", "path": ["v1", "data", "orbital", "authz", "dispatch", "decisions"]},
		{"method": "POST", "path": ["v1", "data", "orbital", "authz", "ingress", "decision"]},
		{"method": "POST", "path": ["v1", "data", "system", "authz"]},
		{"method": "POST", "path": ["v1", "query"]},
		{"method": "GET", "path": ["v1", "config"]},
	] {
		not authz.allow with input as asked
	}
}
