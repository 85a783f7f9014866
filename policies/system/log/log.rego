# METADATA
# title: The decision log
# description: |
#   Every decision leaves the engine, nothing that is secret leaves with it, and none is so large that it would be left
#   behind: what is sent is named here, and bounded. Input: the event that OPA is about to send.
# scope: package
package system.log

# METADATA
# title: Whether the event stays here
# description: Reading the public keys is no decision.
# entrypoint: true
default drop := false

drop if input.path == "orbital/signers"

# METADATA
# title: What is put in the place of an event's input and result
# description: |
#   Bodies hold plaintext keys, headers hold tokens, and whoever calls chooses their size. Of a batch, only what was denied
#   is told item by item.
# entrypoint: true
mask contains {"op": "upsert", "path": "/input", "value": call} if is_call

mask contains {"op": "upsert", "path": "/input", "value": question} if {
	not is_call

	# OPA 1.15 dies of an upsert into an event that has no input.
	is_object(input.input)
}

mask contains {"op": "upsert", "path": "/result/allowed", "value": count(input.result.allowed)} if {
	is_array(input.result.denied)
}

mask contains {"op": "upsert", "path": "/result/denied", "value": told} if count(input.result.denied) > 0

mask contains {"op": "upsert", "path": "/result/denied_total", "value": count(input.result.denied)} if {
	is_array(input.result.denied)
}

most_items := 50

most_characters := 256

# What others may choose freely, as far as it is told.
short(text) := substring(text, 0, most_characters) if is_string(text)

else := text if {
	is_scalar(text)
} else := ""

is_scalar(value) if is_number(value)

is_scalar(value) if is_boolean(value)

default is_call := false

is_call if is_object(input.input.attributes)

# A call --------------------------------------------------------------------------------------------------------------

http := object.get(input.input.attributes, ["request", "http"], {})

told_headers := {
	"content-type", "user-agent", "x-orbital-certificate-end", "x-orbital-correlation-id", "x-orbital-lane",
	"x-orbital-on-behalf-of", "x-orbital-region",
}

call := {
	"attributes": {
		"source": {"principal": short(object.get(input.input.attributes, ["source", "principal"], ""))},
		"request": {"http": {
			"method": short(object.get(http, "method", "")),
			"path": short(object.get(http, "path", "")),
			"headers": {name: short(value) | some name in told_headers; value := http.headers[name]},
		}},
	},
	"truncated_body": object.get(input.input, "truncated_body", false) == true,
}

# A batch -------------------------------------------------------------------------------------------------------------

question := object.union(scalars, object.union(lists, items))

scalars := {name: short(value) | some name, value in input.input; not is_array(value); not is_object(value)}

lists := {"correlations": array.slice([short(each) | some each in said], 0, 1000) |
	said := input.input.correlations
	is_array(said)
}

items := {name: refused(value) |
	some name in {"lanes", "probes", "reports", "requests", "tasks"}
	value := input.input[name]
	is_array(value)
}

denied := {object.get(refusal, "id", "") | some refusal in told}

# The common case is that none is denied, and then no item has to be looked at.
refused(_) := [] if count(denied) == 0

refused(listed) := array.slice([{name: short(value) | some name, value in item} | some item in listed; item.id in denied], 0, most_items) if {
	count(denied) > 0
}

told := [{name: short(value) | some name, value in refusal} | some refusal in array.slice(input.result.denied, 0, most_items)]
