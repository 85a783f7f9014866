# METADATA
# title: Dispatch
# description: |
#   Which tasks the gateway may publish. One query answers a whole batch, because a query a task costs many times as much.
#   Input: `{"policy_age": seconds, "tasks": [{id, kind, lane, region, tenant, resource, generation}]}`.
# scope: package
package orbital.authz.dispatch

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

lawful contains task.id if {
	some task in input.tasks
	data.orbital.kinds[task.kind].lane == task.lane
	regex.match(data.orbital.kinds[task.kind].resource, task.resource)
	split(task.resource, "/")[1] == task.tenant
	data.orbital.kinds[task.kind].of_tenant
	is_number(task.generation)
	task.generation > 0
	is_string(task.region)
	task.region != ""
}

# What belongs to no tenant.
lawful contains task.id if {
	some task in input.tasks
	task.tenant == ""
	data.orbital.kinds[task.kind].of_tenant == false
	data.orbital.kinds[task.kind].lane == task.lane
	regex.match(data.orbital.kinds[task.kind].resource, task.resource)
	is_number(task.generation)
	task.generation > 0
	is_string(task.region)
	task.region != ""
}

# Once for the batch: asked of each task it would cost a fifth of the query.
permitted := lawful - withheld

age := object.get(input, "policy_age", "unknown")

withheld := restraint.withheld(input.tasks, age)

refusal(task) := restraint.refusal(task, age) if {
	task.id in withheld
} else := tasks.refusal(task)
