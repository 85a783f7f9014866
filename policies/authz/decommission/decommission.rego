# METADATA
# title: Decommission
# description: |
#   Who may decide that a region is taken out for good, once ingress has let them call. Input: `{"principal":
#   "spiffe://orbital/person/officer", "requests": [{id, act, region, asked_by, expires_at}]}`; `act` is approve or decline.
# scope: package
package orbital.authz.decommission

import data.orbital.authz.restore
import data.orbital.authz.tasks

# METADATA
# title: The decision about each request
# description: '`allowed` holds IDs, `denied` holds `{id, reason, message}`; every request is in one of them.'
# entrypoint: true
decisions := {
	"allowed": permitted,
	"denied": [refusal(request) | some request in input.requests; not object.get(request, "id", "") in permitted],
}

# The same two people, in the same time, as for a tenant that is restored.
permitted := restore.permitted

refusal(request) := tasks.reject(request, "FOUR_EYES", sprintf("%s asked to decommission %s, so another person has to approve it.", [
	object.get(request, "asked_by", "Nobody known"),
	object.get(request, "region", "it"),
])) if {
	not restore.another_person(request)
} else := tasks.reject(request, "REQUEST_EXPIRED", sprintf("The request to decommission %s was good until %s; ask again.", [
	object.get(request, "region", "it"),
	object.get(request, "expires_at", "an unknown time"),
])) if {
	not restore.in_time(request)
} else := tasks.reject(request, "NOT_ALLOWED", "No rule allows this decision.")
