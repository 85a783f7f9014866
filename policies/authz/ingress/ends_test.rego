package orbital.authz.ingress_test

import data.orbital.authz.ingress

at(seconds, asked) := decided if {
	decided := ingress.decision with input as asked
		with opa.runtime as gateway
		with data.orbital.issuers as issuers
		with time.now_ns as seconds * 1000000000
}

test_a_certificate_passes_until_its_end if {
	asked := object.union(grpc(operator, declare), with_header("x-orbital-certificate-end", "1790000000"))
	decided := at(1789999999, asked)
	decided.allowed == true
	decided.headers["x-orbital-identity-end"] == "1790000000"
	refused(at(1790000000, asked), 401, "IDENTITY_ENDED")
	at(1790000000, asked).principal == operator
}

test_a_token_passes_until_its_end if {
	every showing in [with_token({"region": "us20", "exp": 1790000000, "iat": 1}), with_person({"person": "operator", "exp": 1790000000})] {
		asked := object.union(object.union(grpc("", "/grpc.health.v1.Health/Check"), showing), {"parsed_body": {}})
		decided := at(1789999999, asked)
		decided.allowed == true
		decided.headers["x-orbital-identity-end"] == "1790000000"
		refused(at(1790000000, asked), 401, "IDENTITY_ENDED")
	}
}

test_an_end_that_is_not_known_has_passed if {
	every end in ["", "-", "never"] {
		refused(at(1, object.union(grpc(operator, declare), with_header("x-orbital-certificate-end", end))), 401, "IDENTITY_ENDED")
	}
}

test_everything_that_an_identity_opens_ends_with_it if {
	every asked in [
		http(eu10, "GET", "/bundles/orbital.tar.gz"),
		http(eu10, "POST", "/logs/opa-eu10-bulk"),
		object.union(grpc(eu10, report), {"parsed_body": {"region": "eu10"}}),
	] {
		at(1, asked).allowed == true
		refused(at(33000000001, asked), 401, "IDENTITY_ENDED")
	}
}

test_a_newcomer_has_no_end_and_may_send_little if {
	redeem := grpc("", "/orbital.v1.EnrolmentService/Redeem")
	at(1, redeem).allowed == true
	cut := at(1, object.union(redeem, {"truncated_body": true}))
	refused(cut, 413, "REQUEST_TOO_LARGE")
	contains(cut.body, "16 KiB")
}

test_what_is_repeated_is_bounded if {
	long := concat("", [operator | some _ in numbers.range(1, 2000)])
	asked := object.union(grpc(eu10, report), {"parsed_body": {"region": long}})
	decided := at(1, asked)
	decided.reason == "REGION_MISMATCH"
	count(decided.body) <= 512
	whole := at(1, object.union(grpc(eu10, long), with_header("x-orbital-correlation-id", long)))
	count(json.marshal(whole)) < 2048
}
