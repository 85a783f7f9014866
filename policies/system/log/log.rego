# METADATA
# title: The decision log
# description: |
#   Only denials leave the engine, and nothing that is secret leaves with them. Input: the event that OPA is about to send.
# scope: package
package system.log

# METADATA
# title: Whether the event stays here
# description: Only what is known to be a permission; an error, or anything of another shape, is sent.
# entrypoint: true
default drop := false

# A request whose body cannot be read never reaches a policy; Envoy's access log has it.
drop if not has_input

drop if {
	input.path == "orbital/authz/ingress/decision"
	input.result.allowed == true
}

drop if {
	input.path in {concat("/", ["orbital/authz", name, "decisions"]) | some name in {"dispatch", "execute", "report", "probe"}}
	input.result.denied == []
}

# METADATA
# title: What is taken out of an event
# description: Bodies hold plaintext keys, headers hold tokens; of a batch, only what was denied is of interest.
# entrypoint: true
mask contains "/input/parsed_body"

mask contains "/input/attributes/request/http/body"

mask contains "/input/attributes/request/http/rawBody"

mask contains concat("", ["/input/attributes/request/http/headers/", name]) if {
	some name in {"authorization", "cookie", "x-forwarded-client-cert"}
	input.input.attributes.request.http.headers[name]
}

mask contains "/result/allowed" if is_array(input.result.denied)

mask contains {"op": "upsert", "path": concat("/", ["", "input", items]), "value": refused} if {
	some items in {"tasks", "reports", "probes"}

	# OPA 1.15 dies of an upsert into an event that has no input.
	is_array(input.input[items])
	denied := {refusal.id | some refusal in input.result.denied}
	refused := [item | some item in input.input[items]; item.id in denied]
}

has_input if is_object(input.input)
