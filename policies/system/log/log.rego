# METADATA
# title: The decision log
# description: |
#   Every decision leaves the engine, and nothing that is secret leaves with it. Input: the event that OPA is about to send.
# scope: package
package system.log

# METADATA
# title: Whether the event stays here
# description: Reading the public keys is no decision.
# entrypoint: true
default drop := false

drop if input.path == "orbital/signers"

# METADATA
# title: What is taken out of an event
# description: Bodies hold plaintext keys, headers hold tokens; of a batch, only what was denied is told item by item.
# entrypoint: true
mask contains "/input/parsed_body"

mask contains "/input/attributes/request/http/body"

mask contains "/input/attributes/request/http/rawBody"

mask contains concat("", ["/input/attributes/request/http/headers/", name]) if {
	some name in {"authorization", "cookie", "x-forwarded-client-cert"}
	input.input.attributes.request.http.headers[name]
}

mask contains {"op": "upsert", "path": "/result/allowed", "value": count(input.result.allowed)} if {
	is_array(input.result.denied)
}

# The common case, in which no item has to be looked at.
mask contains {"op": "upsert", "path": concat("/", ["", "input", items]), "value": []} if {
	input.result.denied == []
	some items in {"tasks", "reports", "probes"}
	is_array(input.input[items])
}

mask contains {"op": "upsert", "path": concat("/", ["", "input", items]), "value": refused} if {
	count(input.result.denied) > 0
	some items in {"tasks", "reports", "probes"}

	# OPA 1.15 dies of an upsert into an event that has no input.
	is_array(input.input[items])
	denied := {refusal.id | some refusal in input.result.denied}
	refused := [item | count(denied) > 0; some item in input.input[items]; item.id in denied]
}
