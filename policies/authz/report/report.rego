# METADATA
# title: Report
# description: |
#   Which reports the gateway takes from a region. Input: `{"principal": "spiffe://orbital/region/eu10", "region": "eu10",
#   "reports": [{id, kind, tenant, resource, generation, outcome}]}`; the ID is the task's.
# scope: package
package orbital.authz.report

import data.orbital.authz.tasks

# METADATA
# title: The decision about each report
# description: '`allowed` holds task IDs, `denied` holds `{id, reason, message}`; every report is in one of them.'
# entrypoint: true
decisions := {"allowed": permitted, "denied": []} if {
	count(permitted) == count(input.reports)
} else := {"allowed": permitted, "denied": [refusal(item) | some item in input.reports; not item.id in permitted]} if {
	tasks.distinct(input.reports)
} else := {"allowed": [], "denied": [rejected |
	some item in input.reports
	rejected := tasks.reject(item, "DUPLICATE_ID", "Two reports of this batch have the same task ID, or none.")
]}

default speaks_for_itself := false

speaks_for_itself if {
	input.region != ""
	input.principal == concat("", ["spiffe://orbital/region/", input.region])
}

permitted contains item.id if {
	speaks_for_itself
	some item in input.reports
	data.orbital.kinds[item.kind]
	data.orbital.outcomes[item.outcome]
	regex.match(data.orbital.kinds[item.kind].resource, item.resource)
	split(item.resource, "/")[1] == item.tenant
	data.orbital.kinds[item.kind].of_tenant
	is_number(item.generation)
	item.generation > 0
}

# What belongs to no tenant.
permitted contains item.id if {
	speaks_for_itself
	some item in input.reports
	item.tenant == ""
	data.orbital.kinds[item.kind].of_tenant == false
	data.orbital.outcomes[item.outcome]
	regex.match(data.orbital.kinds[item.kind].resource, item.resource)
	is_number(item.generation)
	item.generation > 0
}

refusal(item) := tasks.reject(item, "REGION_MISMATCH", sprintf("%s may not report for region %q: a region reports only for itself.", [
	object.get(input, "principal", "A caller without an identity"),
	object.get(input, "region", ""),
])) if {
	not speaks_for_itself
} else := tasks.reject(item, "UNKNOWN_OUTCOME", sprintf("%q is no outcome; the outcomes are: %s.", [
	object.get(item, "outcome", ""),
	concat(", ", sort(object.keys(data.orbital.outcomes))),
])) if {
	not known_outcome(item)
} else := tasks.refusal(item)

known_outcome(item) if data.orbital.outcomes[item.outcome]
