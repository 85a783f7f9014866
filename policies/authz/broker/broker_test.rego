package orbital.authz.broker_test

import data.orbital.authz.broker

eu10 := "spiffe://orbital/region/eu10"

gateway := "spiffe://orbital/gateway"

request := {
	"id": "1", "about": "resource", "username": eu10, "password": false, "vhost": "/", "client_id": "",
	"resource": "queue", "name": "orbital.lane.1.eu10", "permission": "read", "routing_key": "",
}

allowed(changes) if {
	found := broker.decisions with input as {"revoked": false, "requests": [object.union(request, changes)]}
	found == {"allowed": {"1"}, "denied": []}
}

reason(changes) := found.denied[0].reason if {
	found := broker.decisions with input as {"revoked": false, "requests": [object.union(request, changes)]}
	count(found.allowed) == 0
}

test_a_region_enters_by_certificate_alone if {
	allowed({"about": "user"})
	reason({"about": "user", "password": true}) == "PASSWORD_GIVEN"
	reason({"about": "vhost", "vhost": "other"}) == "NOT_ALLOWED"
	every username in ["", "gateway", "spiffe://orbital/person/operator", "spiffe://orbital/region/", "spiffe://orbital/region/.*"] {
		reason({"about": "user", "username": username}) == "UNKNOWN_ACCOUNT"
		reason({"username": username}) == "UNKNOWN_ACCOUNT"
	}
}

test_a_region_uses_no_other_clients_name if {
	every client in ["", "orbital.lane.0.eu10", "orbital.lane.2.eu10"] {
		allowed({"about": "vhost", "client_id": client})
	}
	every client in ["orbital.lane.0.us20", "x", "orbital.lane.7.eu10"] {
		reason({"about": "vhost", "client_id": client}) == "NOT_ALLOWED"
	}
}

test_a_region_reads_its_own_lanes if {
	every name in ["orbital.lane.0.eu10", "orbital.lane.2.eu10", "orbital.lane.0.eu10.amqp", "mqtt-subscription-orbital.lane.1.eu10qos1"] {
		allowed({"name": name})
	}
	every name in ["orbital.lane.1.us20", "orbital.lane.3.eu10", "orbital.dead", "mqtt-subscription-orbital.lane.1.us20qos1", "orbital.lane.1.eu10.amqp"] {
		reason({"name": name}) == "NOT_ALLOWED"
	}
	reason({"vhost": "other"}) == "NOT_ALLOWED"
}

test_a_region_makes_its_own_sessions_and_nothing_else if {
	every permission in ["configure", "write"] {
		allowed({"permission": permission, "name": "mqtt-subscription-orbital.lane.1.eu10qos1"})
		every name in ["orbital.lane.1.eu10", "mqtt-subscription-orbital.lane.1.us20qos1", "mine"] {
			reason({"permission": permission, "name": name}) == "NOT_ALLOWED"
		}
	}
}

test_a_region_binds_by_its_own_keys_and_publishes_nowhere if {
	allowed({"resource": "exchange", "name": "orbital.tasks"})
	every permission in ["configure", "write"] {
		reason({"resource": "exchange", "name": "orbital.tasks", "permission": permission}) == "NOT_ALLOWED"
	}
	every name in ["orbital.kept", "orbital.dead", "amq.topic", "amq.default", ""] {
		reason({"resource": "exchange", "name": name}) == "NOT_ALLOWED"
	}
	topic := {"about": "topic", "resource": "topic", "name": "orbital.tasks"}
	allowed(object.union(topic, {"routing_key": "lane.1.eu10"}))
	every key in ["lane.1.us20", "lane.*.eu10", "#", ""] {
		reason(object.union(topic, {"routing_key": key})) == "NOT_ALLOWED"
	}
	reason(object.union(topic, {"routing_key": "lane.1.eu10", "permission": "write"})) == "NOT_ALLOWED"
}

test_the_gateway_does_what_is_orbitals if {
	every change in [
		{"about": "user"},
		{"about": "vhost"},
		{"about": "vhost", "client_id": "orbital.gateway.gateway-bulk.1"},
		{"permission": "configure"},
		{"resource": "exchange", "name": "orbital.tasks", "permission": "write"},
		{"name": "mqtt-subscription-orbital.lane.1.eu10qos1", "permission": "configure"},
		{"name": "mqtt-subscription-orbital.lane.1.eu10qos1", "permission": "write"},
		{"about": "topic", "name": "orbital.tasks", "routing_key": "lane.1.eu10", "permission": "write"},
	] {
		allowed(object.union(change, {"username": gateway}))
	}
	every change in [
		{"about": "vhost", "client_id": "orbital.lane.1.eu10"},
		{"name": "other", "permission": "read"},
		{"name": "mqtt-subscription-orbital.lane.1.eu10qos1", "permission": "read"},
		{"resource": "exchange", "name": "amq.topic", "permission": "write"},
		{"about": "topic", "name": "amq.topic", "routing_key": "lane.1.eu10"},
		{"vhost": "other", "permission": "configure"},
	] {
		reason(object.union(change, {"username": gateway})) == "NOT_ALLOWED"
	}
}

test_each_missing_field_is_denied if {
	every field in ["about", "username", "vhost", "resource", "name", "permission"] {
		found := broker.decisions with input as {"revoked": false, "requests": [object.remove(request, [field])]}
		count(found.allowed) == 0
		count(found.denied) == 1
	}
	user := object.remove(object.union(request, {"about": "user"}), ["password"])
	count(broker.decisions.denied) == 1 with input as {"revoked": false, "requests": [user]}
}

test_two_of_one_id_are_denied if {
	found := broker.decisions with input as {"revoked": false, "requests": [request, request]}
	count(found.allowed) == 0
	found.denied[0].reason == "DUPLICATE_ID"
}

test_nothing_is_asked if {
	found := broker.decisions with input as {}
	count(found.allowed) == 0
}

test_a_revoked_region_enters_no_more if {
	every about in ["user", "vhost", "resource", "topic"] {
		asked := object.union(request, {"about": about})
		found := broker.decisions with input as {"revoked": true, "requests": [asked]}
		found.allowed == set()
		found.denied[0].reason == "REGION_REVOKED"
	}
}

test_whose_standing_is_not_told_does_not_enter if {
	found := broker.decisions with input as {"requests": [request]}
	found.allowed == set()
}
