package system.log_test

import data.system.log

ingress(allowed) := {
	"path": "orbital/authz/ingress/decision",
	"input": {
		"parsed_body": {"plaintext": "c2VjcmV0"},
		"attributes": {"request": {"http": {"headers": {"authorization": "Bearer x", "te": "trailers"}}}},
	},
	"result": {"allowed": allowed},
}

batch(denied) := {
	"path": "orbital/authz/dispatch/decisions",
	"input": {"tasks": [{"id": "a"}, {"id": "b"}]},
	"result": {"allowed": ["a"], "denied": denied},
}

test_permissions_stay if {
	log.drop with input as ingress(true)
	log.drop with input as batch([])
}

test_denials_are_sent if {
	not log.drop with input as ingress(false)
	not log.drop with input as batch([{"id": "b"}])
}

test_anything_unexpected_is_sent if {
	not log.drop with input as object.remove(ingress(true), ["result"])
	not log.drop with input as object.union(ingress(true), {"path": "other"})
	not log.drop with input as object.union(batch([]), {"result": {"denied": null}})
}

test_what_never_reached_a_policy_stays if {
	log.drop with input as object.remove(ingress(false), ["input"])
	log.drop with input as {}
}

test_secrets_are_taken_out if {
	found := log.mask with input as ingress(false)
	found == {
		"/input/parsed_body",
		"/input/attributes/request/http/body",
		"/input/attributes/request/http/rawBody",
		"/input/attributes/request/http/headers/authorization",
	}
}

test_only_the_denied_tasks_are_sent if {
	found := log.mask with input as batch([{"id": "b"}])
	"/result/allowed" in found
	{"op": "upsert", "path": "/input/tasks", "value": [{"id": "b"}]} in found
}

# OPA 1.15 dies of an upsert into an event without an input.
test_nothing_is_put_where_nothing_was if {
	every event in [{}, {"input": null}, {"input": "x", "result": {"denied": []}}, ingress(false)] {
		found := log.mask with input as event
		count([rule | some rule in found; is_object(rule)]) == 0
	}
}
