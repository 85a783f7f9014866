# METADATA
# title: Effects
# description: |
#   What follows from a region's health: which of its lanes are dispatched to, and which are held. Asked by the gateway
#   whenever a region's flags change. Input: `{"lanes": [{id, region, lane, status, reasons}]}`.
# scope: package
package orbital.authz.effects

# METADATA
# title: The decision about each lane
# description: '`allowed` holds IDs of lanes that go on, `denied` holds `{id, reason, message}` of those that are held.'
# entrypoint: true
decisions := {"allowed": permitted, "denied": [refusal(lane) |
	some lane in input.lanes
	not lane.id in permitted
]} if {
	count({lane.id | some lane in input.lanes}) == count(input.lanes)
} else := {"allowed": [], "denied": [rejected |
	some lane in input.lanes
	rejected := reject(lane, "DUPLICATE_ID", "Two lanes of this batch have the same ID, or none.")
]}

permitted contains lane.id if {
	some lane in input.lanes
	lane.lane in {0, 1, 2}
	not lane.lane in data.orbital.effects[lane.status].hold
	data.orbital.effects[lane.status]
}

refusal(lane) := reject(lane, "UNKNOWN_LANE", sprintf("There is no lane %v.", [object.get(lane, "lane", "")])) if {
	not known_lane(lane)
} else := reject(lane, "UNKNOWN_STATUS", sprintf("No rule is about a status called %q.", [object.get(
	lane,
	"status",
	"",
)])) if {
	not known_status(lane)
} else := reject(lane, "REGION_OUT_OF_SYNC", sprintf("Lane %d of %s is held until the region is not %s any more: %s.", [
	lane.lane,
	object.get(lane, "region", ""),
	replace(lane.status, "_", " "),
	concat(", ", object.get(lane, "reasons", [])),
]))

reject(lane, reason, message) := {"id": object.get(lane, "id", ""), "reason": reason, "message": message}

# Helpers, because `not` with an undefined reference inside its brackets is undefined, and not true.
known_lane(lane) if lane.lane in {0, 1, 2}

known_status(lane) if data.orbital.effects[lane.status]
