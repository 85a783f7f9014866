# METADATA
# title: Broker
# description: |
#   Who may do what at the message broker, which asks before every login, virtual host, queue, exchange and topic. Input:
#   `{"principal": …, "revoked": …, "requests": [{id, about, username, password, vhost, client_id, resource, name,
#   permission, routing_key}]}`, where `about` is user, vhost, resource or topic, `password` says whether one was given,
#   and `revoked` whether the region's identity was.
# scope: package
package orbital.authz.broker

import data.orbital.authz.tasks

# METADATA
# title: The decision about each request
# description: '`allowed` holds IDs, `denied` holds `{id, reason, message}`; every request is in one of them.'
# entrypoint: true
decisions := {"allowed": permitted, "denied": [refusal(request) |
	some request in input.requests
	not request.id in permitted
]} if {
	tasks.distinct(input.requests)
} else := {"allowed": [], "denied": [rejected |
	some request in input.requests
	rejected := tasks.reject(request, "DUPLICATE_ID", "Two requests have the same ID, or none.")
]}

tasks_exchange := "orbital.tasks"

lanes := [0, 1, 2]

# A region reads its own lanes, and makes its own MQTT sessions for that. It publishes nowhere.
region(request) := name if {
	input.revoked == false
	startswith(request.username, "spiffe://orbital/region/")
	name := trim_prefix(request.username, "spiffe://orbital/region/")
	regex.match(`^[a-z0-9-]{1,63}$`, name)
}

lane_names(name) := {sprintf("orbital.lane.%d.%s", [lane, name]) | some lane in lanes}

readable(name) := lane_names(name) | {sprintf("orbital.lane.0.%s.amqp", [name])}

sessions(name) := {sprintf("mqtt-subscription-%sqos1", [lane]) | some lane in lane_names(name)}

known(request) if region(request)

known(request) if request.username == "spiffe://orbital/gateway"

# Only by certificate: a password would be somebody else's claim to the name.
permitted contains request.id if {
	some request in input.requests
	request.about == "user"
	known(request)
	request.password == false
}

# An MQTT client that takes another's name would end that one's connection.
permitted contains request.id if {
	some request in input.requests
	request.about == "vhost"
	request.vhost == "/"
	request.client_id in (lane_names(region(request)) | {""})
}

permitted contains request.id if {
	some request in input.requests
	request.about == "resource"
	request.vhost == "/"
	request.resource == "queue"
	request.permission == "read"
	request.name in (readable(region(request)) | sessions(region(request)))
}

permitted contains request.id if {
	some request in input.requests
	request.about == "resource"
	request.vhost == "/"
	request.resource == "queue"
	request.permission in {"configure", "write"}
	request.name in sessions(region(request))
}

# Reading an exchange is binding a queue to it; by which key, is a question of its own.
permitted contains request.id if {
	some request in input.requests
	request.about == "resource"
	request.vhost == "/"
	request.resource == "exchange"
	request.permission == "read"
	request.name == tasks_exchange
	region(request)
}

permitted contains request.id if {
	some request in input.requests
	request.about == "topic"
	request.vhost == "/"
	request.name == tasks_exchange
	request.permission == "read"
	request.routing_key in {sprintf("lane.%d.%s", [lane, region(request)]) | some lane in lanes}
}

# The gateway makes, fills and empties what is Orbital's, and takes lanes back from MQTT sessions.
permitted contains request.id if {
	some request in input.requests
	request.username == "spiffe://orbital/gateway"
	request.vhost == "/"
	gateway_may(request)
}

gateway_may(request) if {
	request.about == "vhost"
	request.client_id == ""
}

# Where it publishes by MQTT.
gateway_may(request) if {
	request.about == "vhost"
	startswith(request.client_id, "orbital.gateway.")
}

gateway_may(request) if {
	request.about == "resource"
	request.resource in {"queue", "exchange"}
	startswith(request.name, "orbital.")
}

gateway_may(request) if {
	request.about == "resource"
	request.resource == "queue"
	startswith(request.name, "mqtt-subscription-orbital.lane.")
	request.permission in {"configure", "write"}
}

gateway_may(request) if {
	request.about == "topic"
	request.name == tasks_exchange
	startswith(request.routing_key, "lane.")
}

refusal(request) := tasks.reject(request, "REGION_REVOKED", "The identity of this region was revoked; it has to enrol again.") if {
	startswith(request.username, "spiffe://orbital/region/")
	input.revoked != false
} else := tasks.reject(request, "UNKNOWN_ACCOUNT", sprintf("%q is no account that enters by certificate here.", [object.get(
	request,
	"username",
	"",
)])) if {
	not known(request)
} else := tasks.reject(request, "PASSWORD_GIVEN", "This account enters by certificate, and by nothing else.") if {
	object.get(request, "password", false) != false
} else := tasks.reject(request, "NOT_ALLOWED", sprintf("%s may not %s %s %q.", [
	request.username,
	object.get(request, "permission", "use"),
	object.get(request, "resource", object.get(request, "about", "it")),
	object.get(request, "name", object.get(request, "vhost", "")),
]))
