package orbital.authz.ingress

# Why not ------------------------------------------------------------------------------------------------------------

default http_call := false

http_call if bundle_reader

http_call if engine_name

default edge_path := false

edge_path if startswith(path, "/edge/")

default denied := {"status": 403, "reason": "NOT_ALLOWED", "message": "No rule allows this call."}

shown := {"region": token, "person": login}

# Whom a token should name that Envoy let pass and that names nobody.
unnamed := [kind |
	some kind in ["region", "person"]
	certificate == ""
	shown[kind] != {}
	not named(kind, shown[kind])
][0]

issuer := object.get(shown[unnamed], "iss", null)

default issuer_known := false

issuer_known if data.orbital.issuers[unnamed][issuer]

refusal := {
	"status": 401,
	"reason": "UNKNOWN_ISSUER",
	"message": sprintf("No token of the issuer %v names a %s here.", [issuer, unnamed]),
} if {
	unnamed
	not issuer_known
} else := {
	"status": 401,
	"reason": "NO_NAME_IN_TOKEN",
	"message": sprintf("The token names no %s: its claim %s is missing or is no name.", [unnamed, concat(".", data.orbital.issuers[unnamed][issuer].claim)]),
} if {
	unnamed
} else := too_large if {
	newcomer
	"newcomer" in data.orbital.rpcs[path].roles
	input.truncated_body == true
} else := {
	"status": 401,
	"reason": "NO_IDENTITY",
	"message": "The caller has no identity: a certificate with a spiffe://orbital/ URI or a token with a region is wanted.",
} if {
	not identified
} else := {
	"status": 401,
	"reason": "IDENTITY_ENDED",
	"message": sprintf("The certificate or token of %s has expired: renew it and call again on a new connection.", [principal]),
} if {
	ended
} else := {
	"status": 403,
	"reason": "NOT_A_REGION",
	"message": sprintf("%s is not allowed: only regions may, each for its own policy engines.", [principal]),
} if {
	http_call
} else := {
	"status": 403,
	"reason": "NOT_AN_EDGE",
	"message": sprintf("%s is not allowed: only edges of this region may, each for itself.", [principal]),
} if {
	edge_path
} else := {
	"status": 403,
	"reason": "NO_ROLE",
	"message": sprintf("%s has no role, so there is nothing here to see. Roles are given in policies/data/roles.yaml.", [principal]),
} if {
	console_page
} else := {
	"status": 403,
	"reason": "UNKNOWN_METHOD",
	"message": sprintf("%s is nothing that anyone may call.", [path]),
} if {
	not data.orbital.rpcs[path]
} else := {
	"status": 403,
	"reason": "NOT_GRPC",
	"message": sprintf("%s is served to gRPC calls only (content-type application/grpc).", [path]),
} if {
	not is_grpc
} else := {
	"status": 403,
	"reason": "WRONG_PLACE",
	"message": sprintf("%s is served by the %s, not here.", [path, data.orbital.rpcs[path].at]),
} if {
	not data.orbital.rpcs[path].at in {component, "any"}
} else := too_large if {
	input.truncated_body == true
} else := {
	"status": 403,
	"reason": "NOT_A_WORKLOAD",
	"message": "An edge calls for workloads alone: whoever is none calls the region itself.",
} if {
	own_edge != ""
	component == "region"
	startswith(path, "/orbital.v1.CryptoService/")
	on_behalf_of == ""
} else := {
	"status": 403,
	"reason": "ROLE_MISSING",
	"message": sprintf("%s may not call %s; these may: %s.", [principal, path, wanted_roles]),
} if {
	count({role | some role in data.orbital.rpcs[path].roles; role in roles}) == 0
} else := {
	"status": 403,
	"reason": "LOGIN_TOO_OLD",
	"message": sprintf("For this, you have to have logged in within the last %d seconds. Log in again.", [data.orbital.limits.fresh_login_seconds]),
} if {
	not fresh_enough(data.orbital.rpcs[path])
} else := {
	"status": 403,
	"reason": "REGION_MISMATCH",
	"message": sprintf("Region %s may speak only for itself, not for %q.", [region, spoken_for]),
} if {
	region != ""
	data.orbital.rpcs[path].speaks_for
} else := {
	"status": 403,
	"reason": "WORKLOAD_MISMATCH",
	"message": sprintf("%s may use only the keys of the service that it is named after.", [principal]),
} if {
	workload
} else := denied

too_large := {
	"status": 413,
	"reason": "REQUEST_TOO_LARGE",
	"message": sprintf("request: larger than the %s that a call may have, or cut off; send less at once.", [limit]),
}

default limit := "4 MiB"

limit := "256 KiB" if component == "region"

limit := "16 KiB" if newcomer

wanted_roles := concat(", ", data.orbital.rpcs[path].roles)
