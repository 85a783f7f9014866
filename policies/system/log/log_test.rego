package system.log_test

import data.system.log

ten(text) := concat("", [text | some _ in numbers.range(1, 10)])

long := ten(ten(ten("012345")))

call := {
	"path": "orbital/authz/ingress/decision",
	"input": {
		"parsed_body": {"plaintext": "c2VjcmV0"},
		"attributes": {
			"source": {"principal": "spiffe://orbital/person/auditor"},
			"request": {"http": {
				"method": "POST",
				"path": "/orbital.v1.X/Y",
				"body": "secret",
				"rawBody": "secret",
				"headers": {
					"authorization": "Bearer secret", "cookie": "secret", "x-forwarded-client-cert": "secret", "x-other": long,
					"te": "trailers", "x-orbital-correlation-id": "c1", "user-agent": long,
				},
			}},
			"metadataContext": {"filterMetadata": {"secret": "secret"}},
		},
		"truncated_body": true,
	},
	"result": {"allowed": false, "body": "No.", "headers": {}},
}

batch := {
	"path": "orbital/authz/dispatch/decisions",
	"input": {"region": "eu10", "correlations": ["c1"], "tasks": [{"id": "a"}, {"id": "b", "resource": long, "x": {"y": 1}}]},
	"result": {"allowed": ["a"], "denied": [{"id": "b", "message": long}]},
}

# The events as they are sent.
sent(event) := json.patch(event, patches) if {
	rules := log.mask with input as event
	patches := [{"op": "add", "path": rule.path, "value": rule.value} | some rule in rules]
}

test_every_decision_is_sent if {
	every event in [call, batch, {}] {
		not log.drop with input as event
	}
	log.drop with input as {"path": "orbital/signers"}
}

test_only_what_is_named_is_sent_of_a_call if {
	found := sent(call)
	found.input == {
		"attributes": {
			"source": {"principal": "spiffe://orbital/person/auditor"},
			"request": {"http": {
				"method": "POST",
				"path": "/orbital.v1.X/Y",
				"headers": {"x-orbital-correlation-id": "c1", "user-agent": substring(long, 0, 256)},
			}},
		},
		"truncated_body": true,
	}
	not contains(json.marshal(found), "secret")
}

test_no_event_is_large_whatever_was_sent if {
	fields := {"source": {"principal": long}, "request": {"http": {"method": long, "path": long, "headers": {long: long, "x-orbital-region": long}}}}
	count(json.marshal(sent(object.union(call, {"input": {"attributes": fields, long: long}})).input)) < 2048
	many := [{"id": sprintf("%d", [n]), "resource": long, "message": long} | some n in numbers.range(1, 200)]
	flood := {"input": {"tasks": many, "requests": many, "correlations": [long | some _ in many]}, "result": {"allowed": [], "denied": many}}
	found := sent(flood)
	count(json.marshal(found)) < 262144
	count(found.result.denied) == 50
	found.result.denied_total == 200
	count(found.input.tasks) == 50
}

test_only_the_denied_tasks_are_sent_and_the_others_counted if {
	found := sent(batch)
	found.result.allowed == 1
	found.result.denied == [{"id": "b", "message": substring(long, 0, 256)}]
	found.input == {"region": "eu10", "correlations": ["c1"], "tasks": [{"id": "b", "resource": substring(long, 0, 256), "x": ""}]}
}

test_of_a_batch_without_denials_no_task_is_sent if {
	found := sent(object.union(batch, {"result": {"allowed": ["a", "b"], "denied": []}, "input": {"policy_age": 3, "revoked": true}}))
	found.result == {"allowed": 2, "denied": [], "denied_total": 0}
	found.input == {"region": "eu10", "correlations": ["c1"], "tasks": [], "policy_age": 3, "revoked": true}
}

# OPA 1.15 dies of an upsert into an event without an input.
test_nothing_is_put_where_nothing_was if {
	every event in [{}, {"input": null}, {"input": "x", "result": {"denied": null}}] {
		found := log.mask with input as event
		count(found) == 0
	}
}
