# METADATA
# title: Tasks
# description: |
#   Why a task is refused, for dispatch, execute and report alike. What is asked of a task that passes is written out in
#   each of those packages, because a helper called for each task would double the cost of a batch.
# scope: package
package orbital.authz.tasks

# METADATA
# title: Whether every ID names one item
# description: Otherwise one item would pass by another's permission.
distinct(items) if count({item.id | some item in items}) == count(items)

# METADATA
# title: What is wrong with a task
# description: The first thing, in `{id, reason, message}`. A report is judged as a task; it has no lane and region of its own.
refusal(task) := reject(task, "UNKNOWN_KIND", sprintf("%q is no task kind; the kinds are: %s.", [
	object.get(task, "kind", ""),
	concat(", ", sort(object.keys(data.orbital.kinds))),
])) if {
	not known_kind(task)
} else := reject(task, "GENERATION_MISSING", "A task needs a generation of at least 1.") if {
	not has_generation(task)
} else := reject(task, "RESOURCE_NOT_ALLOWED", sprintf("%q is not a resource of tenant %q that %s may be about.", [
	object.get(task, "resource", ""),
	object.get(task, "tenant", ""),
	task.kind,
])) if {
	not about_its_own(task)
} else := reject(task, "LANE_MISMATCH", sprintf("%s travels on lane %d, not on %v.", [
	task.kind,
	data.orbital.kinds[task.kind].lane,
	task.lane,
])) if {
	data.orbital.kinds[task.kind].lane != task.lane
} else := reject(task, "NOT_ALLOWED", "No rule allows this task: it has no ID, region, lane or outcome that is known.")

# METADATA
# title: A refusal
reject(task, reason, message) := {"id": object.get(task, "id", ""), "reason": reason, "message": message}

# Helpers, because `not` with an undefined reference inside its brackets is undefined, and not true.
known_kind(task) if data.orbital.kinds[task.kind]

has_generation(task) if {
	is_number(task.generation)
	task.generation > 0
}

about_its_own(task) if {
	data.orbital.kinds[task.kind].of_tenant == false
	task.tenant == ""
	regex.match(data.orbital.kinds[task.kind].resource, task.resource)
}

about_its_own(task) if {
	data.orbital.kinds[task.kind].of_tenant
	regex.match(data.orbital.kinds[task.kind].resource, task.resource)
	split(task.resource, "/")[1] == task.tenant
}
