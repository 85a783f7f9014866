package orbital.authz.restraint_test

import data.orbital.authz.restraint

task := {
	"id": "a", "kind": "SYNC_METADATA", "lane": 2, "region": "eu10",
	"tenant": "acme", "resource": "tenants/acme", "generation": 3,
}

residency := {
	"tenants": {"acme": {"regions": ["us20"]}, "globex": {"labels": {"area": "us"}}, "empty": {"labels": {}}},
	"regions": {"eu10": {"area": "eu"}, "us20": {"area": "us"}},
}

noon := time.parse_rfc3339_ns("2026-01-13T12:00:00Z")

freeze := {"name": "move of the database", "from": "2026-01-13T11:00:00Z", "to": "2026-01-13T13:00:00Z"}

reason_of(asked, age) := restraint.refusal(asked, age).reason

test_nothing_is_held_back_without_a_reason if {
	restraint.withheld([task], 0) == set() with data.orbital.freezes.windows as []
	not restraint.refusal(task, 0) with data.orbital.freezes.windows as []
}

test_a_tenant_stays_where_its_rule_says if {
	every tenant in {"acme", "globex", "empty"} {
		restraint.withheld([object.union(task, {"tenant": tenant})], 0) == {"a"} with data.orbital.residency as residency
	}
	every tenant in {"acme", "globex", "free"} {
		allowed := object.union(task, {"tenant": tenant, "region": "us20"})
		restraint.withheld([allowed], 0) == set() with data.orbital.residency as residency
	}
	restraint.withheld([object.union(task, {"tenant": "globex", "region": "xx99"})], 0) == {"a"} with data.orbital.residency as residency
}

test_the_rule_is_named if {
	refusal := restraint.refusal(task, 0) with data.orbital.residency as residency
	refusal.reason == "RESIDENCY"
	refusal.message == `acme may not be in eu10: its residency is {"regions":["us20"]}.`
}

test_taking_away_is_never_held_back if {
	unlink := object.union(task, {"kind": "UNLINK_KEY", "lane": 0})
	restraint.withheld([unlink], "unknown") == set() with data.orbital.residency as residency
		with data.orbital.freezes.windows as [freeze]
		with time.now_ns as noon
}

test_a_freeze_holds_lane_2_in_its_window_and_regions if {
	every regions in [{}, {"regions": ["eu10"]}] {
		found := restraint.refusal(task, 0) with data.orbital.freezes.windows as [object.union(freeze, regions)] with time.now_ns as noon
		found.reason == "FROZEN"
		contains(found.message, "until 2026-01-13T13:00:00Z: move of the database")
	}
	every other in [{"lane": 1}, {"lane": 0}] {
		restraint.withheld([object.union(task, other)], 0) == set() with data.orbital.freezes.windows as [freeze] with time.now_ns as noon
	}
	restraint.withheld([task], 0) == set() with data.orbital.freezes.windows as [object.union(freeze, {"regions": ["us20"]})]
		with time.now_ns as noon
	restraint.withheld([task], 0) == set() with data.orbital.freezes.windows as [freeze]
		with time.now_ns as time.parse_rfc3339_ns("2026-01-13T13:00:00Z")
}

test_an_engine_that_is_out_of_date_passes_lane_0_alone if {
	every age in [901, "1", null] {
		reason_of(object.union(task, {"lane": 1}), age) == "STALE_POLICY" with data.orbital.limits.stale_after_seconds as 900
		not restraint.refusal(object.union(task, {"lane": 0}), age)
	}
	restraint.withheld([object.union(task, {"lane": 1})], 900) == set() with data.orbital.limits.stale_after_seconds as 900
}

# What people write into the tables is tested with the rules, so that a mistake in it is never pushed.
test_the_tables_say_what_they_mean if {
	every window in array.concat([freeze], data.orbital.freezes.windows) {
		time.parse_rfc3339_ns(window.from) < time.parse_rfc3339_ns(window.to)
		is_string(window.name)
		is_array(object.get(window, "regions", []))
	}
	every rule in object.union(residency.tenants, data.orbital.residency.tenants) {
		count(object.keys(rule) - {"regions", "labels"}) == 0
		count(rule) == 1
	}
	data.orbital.limits.stale_after_seconds > 0
}
