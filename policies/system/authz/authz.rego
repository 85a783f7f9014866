# METADATA
# title: The engine's own API
# description: |
#   Who may ask the policy engine what. Given to it as a file at its start, and not part of the bundle: in force before the
#   first bundle, and out of the reach of any later one.
# scope: package
package system.authz

default allow := false

allow if {
	input.method == "POST"
	input.path in {
		["v1", "data", "orbital", "authz", "dispatch", "decisions"],
		["v1", "data", "orbital", "authz", "execute", "decisions"],
		["v1", "data", "orbital", "authz", "report", "decisions"],
		["v1", "data", "orbital", "authz", "probe", "decisions"],
		["v1", "data", "orbital", "authz", "effects", "decisions"],
		["v1", "data", "orbital", "authz", "broker", "decisions"],
		["v1", "data", "orbital", "authz", "approval", "decisions"],
	}
}

allow if {
	input.method == "GET"
	input.path in {["health"], ["v1", "status"], ["v1", "data", "orbital", "signers"]}
}
