# METADATA
# title: Dispatch
# description: |
#   Which tasks the gateway may publish. One query answers a whole batch, because a query a task costs many times as much.
#   Input: `{"tasks": [{id, kind, lane, region, tenant, resource, generation}]}`.
# scope: package
package orbital.authz.dispatch

import data.orbital.authz.tasks

# METADATA
# title: The decision about each task
# description: '`allowed` holds task IDs, `denied` holds `{id, reason, message}`; every task is in one of them.'
# entrypoint: true
decisions := {"allowed": permitted, "denied": []} if {
	count(permitted) == count(input.tasks)
} else := {"allowed": permitted, "denied": [tasks.refusal(task) | some task in input.tasks; not task.id in permitted]} if {
	tasks.distinct(input.tasks)
} else := {"allowed": [], "denied": [refusal |
	some task in input.tasks
	refusal := tasks.reject(task, "DUPLICATE_ID", "Two tasks of this batch have the same ID, or none.")
]}

permitted contains id if {
	some {
		"id": id, "kind": kind, "lane": lane, "region": region,
		"tenant": tenant, "resource": resource, "generation": generation,
	} in input.tasks
	data.orbital.kinds[kind].lane == lane
	regex.match(data.orbital.resources[kind], resource)
	split(resource, "/")[1] == tenant
	is_number(generation)
	generation > 0
	is_string(region)
	region != ""
}
