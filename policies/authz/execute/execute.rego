# METADATA
# title: Execute
# description: |
#   Which tasks a region may execute: asked by the region of its own engine, because a path through a broker has no Envoy.
#   Input: `{"region": "eu10", "policy_age": seconds, "tasks": [{id, kind, lane, region, tenant, resource, generation}]}`.
# scope: package
package orbital.authz.execute

import data.orbital.authz.restraint
import data.orbital.authz.tasks

# METADATA
# title: The decision about each task
# description: '`allowed` holds task IDs, `denied` holds `{id, reason, message}`; every task is in one of them.'
# entrypoint: true
decisions := {"allowed": permitted, "denied": []} if {
	count(permitted) == count(input.tasks)
} else := {"allowed": permitted, "denied": [refusal(task) | some task in input.tasks; not task.id in permitted]} if {
	tasks.distinct(input.tasks)
} else := {"allowed": [], "denied": [rejected |
	some task in input.tasks
	rejected := tasks.reject(task, "DUPLICATE_ID", "Two tasks of this batch have the same ID, or none.")
]}

# The engine knows its own region, so a process of another region cannot ask it for a permission.
default own_region := false

own_region if {
	input.region != ""
	input.region == opa.runtime().config.labels.region
}

lawful contains task.id if {
	own_region
	some task in input.tasks
	data.orbital.kinds[task.kind].lane == task.lane
	task.region == input.region
	regex.match(data.orbital.kinds[task.kind].resource, task.resource)
	split(task.resource, "/")[1] == task.tenant
	data.orbital.kinds[task.kind].of_tenant
	is_number(task.generation)
	task.generation > 0
}

# What belongs to no tenant.
lawful contains task.id if {
	own_region
	some task in input.tasks
	task.tenant == ""
	data.orbital.kinds[task.kind].of_tenant == false
	data.orbital.kinds[task.kind].lane == task.lane
	task.region == input.region
	regex.match(data.orbital.kinds[task.kind].resource, task.resource)
	is_number(task.generation)
	task.generation > 0
}

# Once for the batch: asked of each task it would cost a fifth of the query.
permitted := lawful - withheld

age := object.get(input, "policy_age", "unknown")

withheld := restraint.withheld(input.tasks, age)

refusal(task) := tasks.reject(task, "REGION_MISMATCH", sprintf("This policy engine answers for region %q, not for %q.", [
	opa.runtime().config.labels.region,
	object.get(input, "region", ""),
])) if {
	not own_region
} else := tasks.reject(task, "REGION_MISMATCH", sprintf("The task is for region %q, and this is %q.", [
	task.region,
	input.region,
])) if {
	task.region != input.region
} else := restraint.refusal(task, age) if {
	task.id in withheld
} else := tasks.refusal(task)
