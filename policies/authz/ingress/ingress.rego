# METADATA
# title: Ingress
# description: |
#   Who may call what through an Envoy, the gateway's or a region's. Input: Envoy's CheckRequest as the OPA plugin hands
#   it over. Positive rules only: what no rule allows is denied, and the refusal says who may.
# scope: package
package orbital.authz.ingress

# METADATA
# title: The answer to Envoy
# description: |
#   `allowed`, `http_status`, `body` and `headers` are read by the plugin; `principal`, `action`, `reason` and
#   `correlation_id` are for whoever reads the decision log.
# entrypoint: true
decision := object.union(circumstances, {"allowed": true, "headers": vouched}) if {
	allow
	not ended
} else := object.union(circumstances, {
	"allowed": false,
	"http_status": refusal.status,
	# It repeats what was sent, and travels in a header.
	"body": substring(refusal.message, 0, 512),
	"headers": object.union({"x-orbital-reason": refusal.reason}, grpc_status),
	"reason": refusal.reason,
})

circumstances := {
	"principal": principal,
	"action": substring(path, 0, 256),
	"correlation_id": substring(object.get(headers, "x-orbital-correlation-id", ""), 0, 64),
}

# What the processes behind are told. When a token was issued tells one from before a revocation; streams end with it.
vouched := object.union(object.union({"x-orbital-principal": principal}, issued), ending)

default issued := {}

issued := {"x-orbital-token-issued": format_int(token.iat, 10)} if certificate == ""

default ending := {}

ending := {"x-orbital-identity-end": format_int(min(ends), 10)} if count(ends) > 0

# When what the caller showed ends, in seconds. A connection, and the check that was made when it began, may be older.
ends contains to_number(headers["x-orbital-certificate-end"]) if certificate != ""

ends contains payload.exp if {
	some payload in [token, login]
	payload != {}
}

# An identity whose end is not known has ended.
default ended := true

ended := false if principal == ""

ended := false if min(ends) * 1000000000 > time.now_ns()

# Envoy makes PERMISSION_DENIED and UNAUTHENTICATED of 403 and 401 by itself, but UNKNOWN of 413: INVALID_ARGUMENT is 3.
default grpc_status := {}

grpc_status := {"grpc-status": "3"} if refusal.status == 413

default allow := false

allow if {
	identified
	input.truncated_body == false
	rpc := data.orbital.rpcs[path]
	is_grpc
	rpc.at in {component, "any"}
	some role in rpc.roles
	role in roles
	speaks_for_itself(rpc)
	within_its_service(role)
	fresh_enough(rpc)
}

# Whoever enrols: its token is judged where it is redeemed.
allow if {
	newcomer
	input.truncated_body == false
	is_grpc
	"newcomer" in data.orbital.rpcs[path].roles
	component == "gateway"
}

allow if {
	bundle_reader
	region != ""
}

allow if {
	region != ""
	engine_name in {sprintf("opa-%s-immediate", [region]), sprintf("opa-%s-bulk", [region])}
}

allow if {
	edge_call
	component == "region"
	own_edge != ""
}

# A page of the console. What may be seen and done there is decided again, by the calls that the page makes.
allow if {
	console_page
	component == "gateway"
	person != ""
	count(data.orbital.roles[principal]) > 0
}

# Who calls ----------------------------------------------------------------------------------------------------------

certificate := object.get(input, ["attributes", "source", "principal"], "")

token := object.get(
	input,
	["attributes", "metadataContext", "filterMetadata", "envoy.filters.http.jwt_authn", "jwt_payload"],
	{},
)

default principal := ""

principal := certificate if {
	startswith(certificate, "spiffe://orbital/")
	token == {}
	on_behalf_of == ""
}

# An edge of this region says for which workload it calls, and may do what that workload may. Its word makes it nobody
# else: no person, region, checker or other edge, whose rights reach further than the keys of one service.
principal := on_behalf_of if on_behalf_of != ""

default on_behalf_of := ""

on_behalf_of := headers["x-orbital-on-behalf-of"] if {
	own_edge != ""
	startswith(path, "/orbital.v1.CryptoService/")
	regex.match(workload_pattern, headers["x-orbital-on-behalf-of"])
}

# Names of tenants, Systems and Services, so that nothing else passes for one.
workload_pattern := `^spiffe://orbital/workload/[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9-]{0,62}$`

default own_edge := ""

# The name of the edge that calls.
own_edge := name if {
	regex.match(`^spiffe://orbital/edge/[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9-]{0,62}$`, certificate)
	[_, _, _, _, where, name] := split(certificate, "/")
	where == opa.runtime().config.labels.region
}

principal := concat("", ["spiffe://orbital/region/", named("region", token)]) if certificate == ""

# Only a provider of people's tokens writes here; see runtime/issuers.py.
login := object.get(
	input,
	["attributes", "metadataContext", "filterMetadata", "envoy.filters.http.jwt_authn", "person_payload"],
	{},
)

default person := ""

person := named("person", login) if certificate == ""

# Whom a verified token names: its issuer is one that may name such a one, and says by which claim.
named(kind, payload) := name if {
	claimed := claim(kind, payload)
	is_string(claimed)
	prefix := data.orbital.issuers[kind][payload.iss].prefix
	startswith(claimed, prefix)
	name := substring(claimed, count(prefix), -1)
	regex.match(`^[a-z0-9][a-z0-9-]{0,62}$`, name)
}

claim(kind, payload) := object.get(payload, data.orbital.issuers[kind][payload.iss].claim, null)

principal := concat("", ["spiffe://orbital/person/", person]) if {
	person != ""
	token == {}
}

default newcomer := false

newcomer if {
	certificate == ""
	token == {}
	principal == ""
	path != ""
}

default identified := false

identified if principal != ""

default region := ""

region := substring(principal, count("spiffe://orbital/region/"), -1) if {
	regex.match(`^spiffe://orbital/region/[a-z0-9][a-z0-9-]{0,62}$`, principal)
}

default workload := false

workload if regex.match(workload_pattern, principal)

roles contains "anyone" if identified

roles contains "region" if region != ""

roles contains "workload" if workload

roles contains role if some role in data.orbital.roles[principal]

# What is called -----------------------------------------------------------------------------------------------------

default path := ""

path := input.attributes.request.http.path

default method := ""

method := input.attributes.request.http.method

default headers := {}

headers := input.attributes.request.http.headers

default is_grpc := false

is_grpc if headers["content-type"] in {"application/grpc", "application/grpc+proto"}

default component := "unknown"

component := opa.runtime().config.labels.component

default bundle_reader := false

bundle_reader if {
	method == "GET"
	path == "/bundles/orbital.tar.gz"
}

# The policy engine whose log or status is delivered.
engine_name := name if {
	method == "POST"
	[_, name] := regex.find_all_string_submatch_n(`^/(?:logs|status)/([a-z0-9-]+)$`, path, 1)[0]
}

default edge_call := false

edge_call if {
	method == "GET"
	path == "/edge/bundle.tar.gz"
}

edge_call if {
	method == "POST"
	path == concat("/", ["/edge/status", own_edge])
}

default console_page := false

console_page if input.attributes.contextExtensions.listener == "console"

default spoken_for := ""

spoken_for := headers["x-orbital-region"] if data.orbital.rpcs[path].speaks_for == "header"

spoken_for := input.parsed_body.region if data.orbital.rpcs[path].speaks_for == "body"

speaks_for_itself(rpc) if not rpc.speaks_for

speaks_for_itself(rpc) if {
	rpc.speaks_for
	region != ""
	spoken_for == region
}

within_its_service(role) if role != "workload"

within_its_service("workload") if {
	body := input.parsed_body
	principal == concat("/", ["spiffe://orbital/workload", body.tenant, body.system, body.service])
}

fresh_enough(rpc) if not rpc.fresh

# A certificate says nothing of logins. It is renewed, or not, within the hour.
fresh_enough(_) if certificate != ""

# Named as in proto3 JSON.
fresh_enough(_) if input.parsed_body.validateOnly == true

fresh_enough(_) if {
	is_number(login.auth_time)
	(time.now_ns() / 1000000000) - login.auth_time <= data.orbital.limits.fresh_login_seconds
}
