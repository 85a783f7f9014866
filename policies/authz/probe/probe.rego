# METADATA
# title: Probe
# description: |
#   What a region's checker may look at, how deep and how often: asked before any probe is made, of the engine that the
#   region runs. Input: `{"region": "eu10", "probes": [{id, component, depth, seconds}]}`, where `seconds` have passed
#   since the last look.
# scope: package
package orbital.authz.probe

# METADATA
# title: The decision about each probe
# description: '`allowed` holds probe IDs, `denied` holds `{id, reason, message}`; every probe is in one of them.'
# entrypoint: true
decisions := {"allowed": permitted, "denied": [refusal(probe) |
	some probe in input.probes
	not probe.id in permitted
]} if {
	count({probe.id | some probe in input.probes}) == count(input.probes)
} else := {"allowed": [], "denied": [rejected |
	some probe in input.probes
	rejected := reject(probe, "DUPLICATE_ID", "Two probes of this batch have the same ID, or none.")
]}

# The engine knows its own region, so a checker of another region cannot ask it for a permission.
default own_region := false

own_region if {
	input.region != ""
	input.region == opa.runtime().config.labels.region
}

permitted contains probe.id if {
	own_region
	some probe in input.probes
	rule := data.orbital.probes[probe.id]
	probe.component == rule.component
	probe.depth in rule.depths
	is_number(probe.seconds)
	probe.seconds >= rule.seconds
}

refusal(probe) := reject(probe, "REGION_MISMATCH", sprintf("This policy engine answers for region %q, not for %q.", [
	object.get(opa.runtime(), ["config", "labels", "region"], ""),
	object.get(input, "region", ""),
])) if {
	not own_region
} else := reject(probe, "UNKNOWN_PROBE", sprintf("No rule is about a probe called %q.", [object.get(
	probe,
	"id",
	"",
)])) if {
	not known(probe)
} else := reject(probe, "COMPONENT_MISMATCH", sprintf("The probe %q looks at %s, not at %q.", [
	probe.id,
	data.orbital.probes[probe.id].component,
	object.get(probe, "component", ""),
])) if {
	not about_its_own(probe)
} else := reject(probe, "DEPTH_NOT_ALLOWED", sprintf("The probe %q may look at: %s; not at %q.", [
	probe.id,
	concat(", ", data.orbital.probes[probe.id].depths),
	object.get(probe, "depth", ""),
])) if {
	not deep_enough(probe)
} else := reject(probe, "TOO_OFTEN", sprintf("The probe %q may be made every %v s at most.", [
	probe.id,
	data.orbital.probes[probe.id].seconds,
]))

reject(probe, reason, message) := {"id": object.get(probe, "id", ""), "reason": reason, "message": message}

# Helpers, because `not` with an undefined reference inside its brackets is undefined, and not true.
known(probe) if data.orbital.probes[probe.id]

about_its_own(probe) if probe.component == data.orbital.probes[probe.id].component

deep_enough(probe) if probe.depth in data.orbital.probes[probe.id].depths
