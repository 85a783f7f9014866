# METADATA
# title: Edge
# description: |
#   What an edge lets through to its region's Crypto service, by the policy that the region compiled into `data.orbital.edge`
#   (region/domain/edge.py). Input: Envoy's CheckRequest as the OPA plugin hands it over. A call passes if a rule allows it
#   and none denies it; a killed tenant's never does.
# scope: package
package orbital.authz.edge

# METADATA
# title: The answer to Envoy
# description: |
#   The region is told on whose behalf the edge calls, and decides about that caller once more.
# entrypoint: true
decision := {"allowed": true, "headers": {"x-orbital-on-behalf-of": caller}} if {
	allow
} else := {
	"allowed": false,
	"http_status": refusal.status,
	# It repeats what was sent, and travels in a header.
	"body": substring(refusal.message, 0, 512),
	"headers": object.union({"x-orbital-reason": refusal.reason}, grpc_status),
	"reason": refusal.reason,
}

# Envoy makes UNKNOWN of 413: INVALID_ARGUMENT is 3.
default grpc_status := {}

grpc_status := {"grpc-status": "3"} if refusal.status == 413

default allow := false

allow if {
	caller != ""
	not ended
	input.truncated_body == false
	is_grpc
	operation
	tenant != ""
	is_object(policy.killed)
	not killed
	some rule in rules("allow")
	concerns(rule)
	not denied
}

policy := data.orbital.edge

default killed := false

killed if policy.killed[tenant]

default denied := false

denied if {
	some rule in rules("deny")
	concerns(rule)
}

# Rules are filed by tenant, so that a call is compared with those that can be about it alone.
rules(effect) := array.concat(object.get(policy, [effect, tenant], []), object.get(policy, [effect, "*"], []))

concerns(rule) if {
	called_by(rule)
	within(rule.systems, input.parsed_body.system)
	within(rule.services, input.parsed_body.service)
	within(rule.operations, operation)
}

called_by(rule) if {
	rule.callers == []
	rule.below == []
}

called_by(rule) if caller in rule.callers

called_by(rule) if {
	some above in rule.below
	startswith(caller, above)
}

# An empty list leaves it open; a field that protojson left out is none that a list names.
within([], _)

within(listed, value) if value in listed

# The call -----------------------------------------------------------------------------------------------------------

default caller := ""

caller := input.attributes.source.principal if startswith(input.attributes.source.principal, "spiffe://orbital/")

# When the caller's certificate ends, in seconds; a connection may be older. An end that is not known has passed.
default ended := true

ended := false if {
	ends := to_number(input.attributes.request.http.headers["x-orbital-certificate-end"])
	ends * 1000000000 > time.now_ns()
}

default path := ""

path := input.attributes.request.http.path

default is_grpc := false

is_grpc if input.attributes.request.http.headers["content-type"] in {"application/grpc", "application/grpc+proto"}

operations := {
	"/orbital.v1.CryptoService/Wrap": "wrap",
	"/orbital.v1.CryptoService/BatchWrap": "wrap",
	"/orbital.v1.CryptoService/Unwrap": "unwrap",
	"/orbital.v1.CryptoService/BatchUnwrap": "unwrap",
	"/orbital.v1.CryptoService/Rewrap": "rewrap",
	"/orbital.v1.CryptoService/BatchRewrap": "rewrap",
	"/orbital.v1.CryptoService/GenerateDataKey": "generate-data-key",
}

operation := operations[path]

default tenant := ""

tenant := input.parsed_body.tenant

# Why not ------------------------------------------------------------------------------------------------------------

refusal := {
	"status": 401,
	"reason": "NO_IDENTITY",
	"message": "The caller has no identity: a certificate with a spiffe://orbital/ URI is wanted.",
} if {
	caller == ""
} else := {
	"status": 401,
	"reason": "IDENTITY_ENDED",
	"message": sprintf("The certificate of %s has expired: renew it and call again on a new connection.", [caller]),
} if {
	ended
} else := {
	"status": 403,
	"reason": "UNKNOWN_METHOD",
	"message": sprintf("%s is nothing that an edge lets through.", [path]),
} if {
	not operation
} else := {
	"status": 413,
	"reason": "REQUEST_TOO_LARGE",
	"message": "request: larger than the 256 KiB that a call may have, or cut off; send less at once.",
} if {
	input.truncated_body == true
} else := {
	"status": 403,
	"reason": "TENANT_KILLED",
	"message": sprintf("%q was killed; this edge lets nothing of it through.", [tenant]),
} if {
	killed
} else := {
	"status": 403,
	"reason": "EDGE_DENIED",
	"message": sprintf("A rule of this edge denies %s to %s under %q.", [operation, caller, tenant]),
} if {
	denied
} else := {
	"status": 403,
	"reason": "EDGE_NOT_ALLOWED",
	"message": sprintf("No rule of this edge allows %s to %s under %q.", [operation, caller, tenant]),
}
