package system.log_test

import data.system.log

call := {
	"path": "orbital/authz/ingress/decision",
	"input": {
		"parsed_body": {"plaintext": "c2VjcmV0"},
		"attributes": {"request": {"http": {"headers": {"authorization": "Bearer x", "te": "trailers"}}}},
	},
	"result": {"allowed": false},
}

batch := {
	"path": "orbital/authz/dispatch/decisions",
	"input": {"tasks": [{"id": "a"}, {"id": "b"}]},
	"result": {"allowed": ["a"], "denied": [{"id": "b"}]},
}

test_every_decision_is_sent if {
	every event in [call, batch, {}] {
		not log.drop with input as event
	}
	log.drop with input as {"path": "orbital/signers"}
}

test_secrets_are_taken_out if {
	found := log.mask with input as call
	found == {
		"/input/parsed_body",
		"/input/attributes/request/http/body",
		"/input/attributes/request/http/rawBody",
		"/input/attributes/request/http/headers/authorization",
	}
}

test_only_the_denied_tasks_are_sent_and_the_others_counted if {
	found := log.mask with input as batch
	{"op": "upsert", "path": "/result/allowed", "value": 1} in found
	{"op": "upsert", "path": "/input/tasks", "value": [{"id": "b"}]} in found
}

test_of_a_batch_without_denials_no_task_is_sent if {
	allowed := object.union(batch, {"result": {"allowed": ["a", "b"], "denied": []}})
	found := log.mask with input as allowed
	found & {rule | some rule in found; is_object(rule)} == {
		{"op": "upsert", "path": "/result/allowed", "value": 2},
		{"op": "upsert", "path": "/input/tasks", "value": []},
	}
}

# OPA 1.15 dies of an upsert into an event without an input.
test_nothing_is_put_where_nothing_was if {
	every event in [{}, {"input": null}, {"input": "x", "result": {"denied": null}}, call] {
		found := log.mask with input as event
		count([rule | some rule in found; is_object(rule)]) == 0
	}
}
