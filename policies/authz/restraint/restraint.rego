# METADATA
# title: Restraint
# description: |
#   What holds a lawful task back, at dispatch and at execution alike: the residency of its tenant, a maintenance freeze,
#   an engine whose policies may be out of date. Nothing here ever holds lane 0 back.
# scope: package
package orbital.authz.restraint

import data.orbital.authz.tasks

# METADATA
# title: The IDs of the tasks that are held back
# description: '`age` is how many seconds ago the engine confirmed its bundle; anything but a number counts as too long.'
withheld(items, age) := (misplaced(items) | frozen(items)) | stale(items, age)

# METADATA
# title: Why a task is held back
# description: In `{id, reason, message}`; undefined for one that is not.
refusal(task, age) := tasks.reject(task, "RESIDENCY", sprintf("%s may not be in %s: its residency is %s.", [
	task.tenant,
	task.region,
	json.marshal(data.orbital.residency.tenants[task.tenant]),
])) if {
	task.id in misplaced([task])
} else := tasks.reject(task, "FROZEN", sprintf("Lane 2 is held in %s until %s: %s.", [
	task.region,
	freezes(task)[0].to,
	freezes(task)[0].name,
])) if {
	task.id in frozen([task])
} else := tasks.reject(task, "STALE_POLICY", sprintf("The policies were not confirmed for more than %d s; until then only lane 0 passes.", [data.orbital.limits.stale_after_seconds])) if {
	task.id in stale([task], age)
}

misplaced(items) := {task.id |
	some task in items
	rule := data.orbital.residency.tenants[task.tenant]
	not data.orbital.kinds[task.kind].revokes
	not resides(rule, task.region)
}

resides(rule, region) if region in rule.regions

resides(rule, region) if {
	count(rule.labels) > 0
	every key, value in rule.labels {
		data.orbital.residency.regions[region][key] == value
	}
}

frozen(items) := {task.id |
	count(active) > 0
	some task in items
	count(freezes(task)) > 0
}

freezes(task) := [freeze |
	task.lane == 2
	some freeze in active
	task.region in object.get(freeze, "regions", [task.region])
]

active := [freeze |
	some freeze in data.orbital.freezes.windows
	time.now_ns() >= time.parse_rfc3339_ns(freeze.from)
	time.now_ns() < time.parse_rfc3339_ns(freeze.to)
]

stale(items, age) := {task.id |
	not confirmed(age)
	some task in items
	task.lane != 0
}

confirmed(age) if {
	is_number(age)
	age <= data.orbital.limits.stale_after_seconds
}
