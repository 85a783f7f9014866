# METADATA
# title: Approval
# description: |
#   Who may decide about what takes two people, once ingress has let them call. Input: `{"principal":
#   "spiffe://orbital/person/officer", "requests": [{id, act, what, asked_by, expires_at}]}`; `act` is approve or decline,
#   `what` says what is asked for.
# scope: package
package orbital.authz.approval

import data.orbital.authz.tasks

# METADATA
# title: The decision about each request
# description: '`allowed` holds IDs, `denied` holds `{id, reason, message}`; every request is in one of them.'
# entrypoint: true
decisions := {
	"allowed": permitted,
	"denied": [refusal(request) | some request in input.requests; not object.get(request, "id", "") in permitted],
}

# Four eyes: whoever asked never approves.
permitted contains request.id if {
	some request in input.requests
	request.act == "approve"
	another_person(request)
	in_time(request)
}

# Nothing happens by it, so that whoever asked may think better of it, too.
permitted contains request.id if {
	some request in input.requests
	request.act == "decline"
	a_person(input.principal)
}

a_person(principal) if regex.match(`^spiffe://orbital/person/[a-z0-9][a-z0-9-]{0,62}$`, principal)

another_person(request) if {
	a_person(input.principal)
	a_person(request.asked_by)
	input.principal != request.asked_by
}

in_time(request) if time.now_ns() < time.parse_rfc3339_ns(request.expires_at)

refusal(request) := tasks.reject(request, "FOUR_EYES", sprintf("%s asked to %s, so another person has to approve it.", [
	object.get(request, "asked_by", "Nobody known"),
	object.get(request, "what", "do it"),
])) if {
	not another_person(request)
} else := tasks.reject(request, "REQUEST_EXPIRED", sprintf("The request to %s was good until %s; ask again.", [
	object.get(request, "what", "do it"),
	object.get(request, "expires_at", "an unknown time"),
])) if {
	not in_time(request)
} else := tasks.reject(request, "NOT_ALLOWED", "No rule allows this decision.")
