"""Who may: tokens asked for, presented, forged, and the roles they carry."""
import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import api
import jose
import pytest
from problems import refused

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GRANT = b"grant_type=client_credentials"


def oauth_error(answer, status, error):
    """RFC 6749 section 5.2."""
    assert answer.status == status, answer
    assert answer.header("content-type").split(";")[0] == "application/json", answer
    assert answer.json()["error"] == error, answer
    if status == 401:
        assert answer.header("www-authenticate").startswith("Basic"), answer


def test_a_token_is_what_it_should_be(onboard, eu):
    answer = onboard.ask_token(eu)
    assert answer.status == 200
    assert "no-store" in answer.header("cache-control")
    document = answer.json()
    assert document["token_type"] == "Bearer" and 0 < document["expires_in"] <= 900
    header, claims, _ = jose.parts(document["access_token"])
    assert (header["alg"], header["typ"]) == ("EdDSA", "at+jwt")
    assert claims["aud"] == "eu-fr" and claims["exp"] - claims["iat"] <= 900
    assert onboard.secret not in json.dumps([header, claims])


def test_a_customers_token_names_its_customer(customer):
    _, claims, _ = jose.parts(customer.app.token(customer.gateway))
    assert claims["customer"] == customer.id


def test_a_wrong_secret_and_an_unknown_client_look_the_same(onboard, eu):
    wrong = api.Principal(onboard.client_id, "x" * 43, "onboarding").ask_token(eu)
    unknown = api.Principal("c-nobody-here", onboard.secret, "onboarding").ask_token(eu)
    oauth_error(wrong, 401, "invalid_client")
    assert (wrong.status, wrong.body) == (unknown.status, unknown.body)


@pytest.mark.parametrize("authorization", ["", "Basic", "Basic !!!!", "Basic " + base64.b64encode(b"nocolon").decode(),
                                           "Bearer x", "Basic " + "A" * 8000])
def test_malformed_credentials(eu, authorization):
    answer = eu.ask("POST", "/oauth/token", {**FORM, "Authorization": authorization}, GRANT)
    oauth_error(answer, 401, "invalid_client")


@pytest.mark.parametrize("form, error", [
    (b"", "invalid_request"),
    (b"grant_type=password&username=a&password=b", "unsupported_grant_type"),
    (b"grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
    (b"grant_type=%", "invalid_request"),
    (b"grant_type=client_credentials%00", "unsupported_grant_type"),
])
def test_malformed_forms(onboard, eu, form, error):
    answer = onboard.ask_token(eu, form)
    assert answer.status == 400 and answer.json()["error"] in (error, "invalid_request"), answer


def test_a_form_of_another_type_or_too_large(onboard, eu):
    headers = {"Authorization": onboard.basic()}
    asked = eu.ask("POST", "/oauth/token", {**headers, "Content-Type": "application/json"}, b"{}")
    assert asked.status in (400, 415), asked
    large = eu.ask("POST", "/oauth/token", {**headers, **FORM}, GRANT + b"&scope=" + b"x" * 100_000)
    assert large.status in (400, 413), large


def test_a_disabled_client_gets_no_token(security, new_customer, eu):
    customer = new_customer(eu)
    extra = api.add_client(customer.admin, eu, customer.id, "customer-app")
    assert extra.ask_token(eu).status == 200
    path = f"{api.customer_path(customer.id)}/clients"
    assert security.ask(eu, "DELETE", f"{path}/{extra.client_id}").status == 204
    oauth_error(extra.ask_token(eu), 401, "invalid_client")
    listed = security.ask(eu, "GET", path).json()["clients"]
    assert {row["client_id"]: bool(row["disabled_at"]) for row in listed} == {
        customer.admin.client_id: False, customer.app.client_id: False, extra.client_id: True}


def test_a_customers_client_is_known_in_its_home_only(customer, us):
    oauth_error(customer.app.ask_token(us), 401, "invalid_client")


def test_secrets_are_stored_as_hashes(customer, sql):
    for (row,) in sql(customer.gateway, "SELECT client::text FROM domicile.client WHERE customer = %s", customer.id):
        assert "$hmac-sha256$" in row
        assert customer.app.secret not in row and customer.admin.secret not in row


# --- forged tokens ---


@pytest.fixture(scope="module")
def signing_key(eu):
    return jose.private_key(f"{eu.config}/keys/eu-fr/token.key")


@pytest.fixture(scope="module")
def genuine(customer):
    header, claims, _ = jose.parts(customer.app.token(customer.gateway))
    return header, claims


def present(customer, token):
    return customer.gateway.ask("GET", customer.record("health", "none"), {"Authorization": f"Bearer {token}"})


def test_a_token_signed_by_hand_is_a_token(customer, signing_key, genuine):
    """The control of the tests below: what they change is all that is wrong with theirs."""
    refused(present(customer, jose.sign(*genuine, signing_key)), "record-unknown")


def test_an_expired_token(customer, signing_key, genuine):
    header, claims = genuine
    refused(present(customer, jose.sign(header, jose.aged(claims, 1000), signing_key)), "token-expired")


FORGERIES = {
    "alg none, no signature": lambda h, c, k: jose.sign({**h, "alg": "none"}, c, None),
    "alg None": lambda h, c, k: jose.sign({**h, "alg": "None"}, c, k),
    "no signature": lambda h, c, k: jose.sign(h, c, None),
    "HS256 with the public key (raw)": lambda h, c, k: jose.sign({**h, "alg": "HS256"}, c, jose.public_raw(k)),
    "HS256 with the public key (PEM)": lambda h, c, k: jose.sign({**h, "alg": "HS256"}, c, jose.public_pem(k)),
    "a foreign key": lambda h, c, k: jose.sign(h, c, jose.foreign_key()),
    "an unknown kid": lambda h, c, k: jose.sign({**h, "kid": "x" * 43}, c, k),
    "no kid": lambda h, c, k: jose.sign({n: v for n, v in h.items() if n != "kid"}, c, k),
    "typ JWT": lambda h, c, k: jose.sign({**h, "typ": "JWT"}, c, k),
    "its own key in the header": lambda h, c, k: jose.sign(
        {**h, "jwk": {"kty": "OKP", "crv": "Ed25519", "x": jose.encode(jose.public_raw(k))}}, c, jose.foreign_key()),
    "crit": lambda h, c, k: jose.sign({**h, "crit": ["exp"]}, c, k),
    "lives a day": lambda h, c, k: jose.sign(h, {**c, "exp": c["iat"] + 86400}, k),
    "not yet valid": lambda h, c, k: jose.sign(h, jose.aged(c, -3600), k),
    "no exp": lambda h, c, k: jose.sign(h, {n: v for n, v in c.items() if n != "exp"}, k),
    "exp is text": lambda h, c, k: jose.sign(h, {**c, "exp": str(c["exp"])}, k),
    "no role": lambda h, c, k: jose.sign(h, {n: v for n, v in c.items() if n != "role"}, k),
    "an unknown role": lambda h, c, k: jose.sign(h, {**c, "role": "root"}, k),
    "unknown audience": lambda h, c, k: jose.sign(h, {**c, "aud": "atlantis"}, k),
    "two audiences": lambda h, c, k: jose.sign(h, {**c, "aud": ["eu-fr", "us"]}, k),
    "claims twice": lambda h, c, k: jose.sign(
        h, json.dumps(c).replace("{", '{"role": "security", ', 1).encode(), k),
    "deep JSON": lambda h, c, k: jose.sign(h, b'{"a":' * 500 + b"1" + b"}" * 500, k),
    "claims are a list": lambda h, c, k: jose.sign(h, [c], k),
    "not JSON": lambda h, c, k: jose.sign(h, b"\xff\xfe", k),
    "NUL in a claim": lambda h, c, k: jose.sign(h, {**c, "customer": c["customer"] + "\0x"}, k),
    "huge": lambda h, c, k: jose.sign(h, {**c, "pad": "x" * 3000}, k),
    "padding": lambda h, c, k: jose.sign(h, c, k) + "=",
    "four parts": lambda h, c, k: jose.sign(h, c, k) + ".x",
    "two parts": lambda h, c, k: jose.sign(h, c, k).rpartition(".")[0],
    "empty": lambda h, c, k: "",
    "dots": lambda h, c, k: "..",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_p8_a_forged_token_is_refused(customer, signing_key, genuine, name):
    token = FORGERIES[name](*genuine, signing_key)
    refused(present(customer, token), "unauthenticated")


def test_p8_every_flipped_bit_of_a_signature_is_seen(customer, signing_key, genuine):
    header, claims, signature = jose.sign(*genuine, signing_key).split(".")
    raw = jose.decode(signature)
    with customer.gateway.wire() as wire:
        for bit in range(0, len(raw) * 8, 7):
            bad = bytearray(raw)
            bad[bit // 8] ^= 1 << bit % 8
            token = f"{header}.{claims}.{jose.encode(bytes(bad))}"
            answer = wire.ask("GET", customer.record("health", "none"), {"Authorization": f"Bearer {token}"})
            refused(answer, "unauthenticated")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer"}, {"Authorization": "Token x"},
                                     {"Authorization": "Basic eDp5"}])
def test_no_token(customer, headers):
    answer = customer.gateway.ask("GET", customer.record("health", "none"), headers)
    refused(answer, "unauthenticated")
    assert answer.header("www-authenticate").startswith("Bearer")


def test_two_tokens_are_refused(customer):
    with customer.gateway.wire() as wire:
        token = f"Bearer {customer.app.token(customer.gateway)}"
        answer = wire.ask("GET", customer.record("health", "none"),
                          [("Authorization", token), ("Authorization", token)])
    assert answer.status in (400, 401), answer


def test_a_token_in_the_query_is_no_token(customer):
    token = customer.app.token(customer.gateway)
    answer = customer.gateway.ask("GET", customer.record("health", "none", f"?access_token={token}"))
    refused(answer, "unauthenticated")


# --- roles ---


def test_only_onboarding_onboards(customer, ops, compliance, security, eu):
    document = {"id": api.random_id(), "region": "eu-fr", "acknowledged_services": []}
    for principal in (customer.app, customer.admin, ops, compliance, security):
        answer = api.post_json(principal, eu, "/v1/customers", document)
        assert answer.slug in ("policy", "forbidden"), (principal.role, answer)


def test_the_vendors_staff_reads_no_health_record(customer, ops, onboard, security, eu):
    customer.put("health", "confidential", b"x")
    for principal in (ops, onboard, security):
        answer = principal.ask(eu, "GET", customer.record("health", "confidential"))
        assert answer.slug == "policy" and answer.json()["policy_rule"], (principal.role, answer)
        answer = principal.ask(eu, "PUT", customer.record("health", "confidential"), api.TYPED, b"y")
        assert answer.slug == "policy", (principal.role, answer)
    assert customer.get("health", "confidential").body == b"x"


def test_an_app_makes_no_clients(customer, eu):
    answer = api.post_json(customer.app, eu, f"{api.customer_path(customer.id)}/clients", {"role": "customer-admin"})
    assert answer.slug in ("policy", "forbidden"), answer


@pytest.mark.parametrize("role", ["sysadmin", "onboarding", "security", "compliance", "system", "root", ""])
def test_a_customers_client_has_a_customers_role(customer, eu, role):
    answer = api.post_json(customer.admin, eu, f"{api.customer_path(customer.id)}/clients", {"role": role})
    assert answer.status in (400, 403), answer


def test_a_customer_reaches_itself_alone(customer, new_customer, eu):
    other = new_customer(eu)
    other.put("health", "theirs", b"x")
    for method, body in (("GET", None), ("PUT", b"y"), ("DELETE", None)):
        refused(customer.ask(method, other.record("health", "theirs"), api.TYPED, body), "forbidden")
    refused(customer.ask("GET", other.record("health")), "forbidden")
    refused(customer.ask("GET", api.customer_path(other.id)), "forbidden")
    assert other.get("health", "theirs").body == b"x"


# --- what stays in memory ---


def occurrences(pid, needle):
    """How often these bytes stand in what the process may write to."""
    found = 0
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            first, last = (int(number, 16) for number in span.split("-"))
            if not rights.startswith("rw"):
                continue
            try:
                memory.seek(first)
                found += memory.read(last - first).count(needle)
            except OSError:  # locked away from reading, or gone since
                continue
    return found


@pytest.mark.slow  # reads all of a gateway's memory, of which ASan has terabytes
def test_p2_a_secret_that_was_shown_does_not_stay(customer, eu):
    made = api.add_client(customer.admin, eu, customer.id, "customer-app")
    token = made.ask_token(eu).json()["access_token"]
    assert occurrences(eu.pid, b"domicile") > 0, "the control: memory can be looked at"
    assert customer.put("health", "later", b"x").status == 201  # the server's buffer of answers has another one now
    assert occurrences(eu.pid, made.secret.encode()) == 0
    assert occurrences(eu.pid, token.encode()) == 0


# --- many at once ---

def test_p8_a_herd_of_clients_is_served_among_strangers(customer, eu):
    """All start at once, and each gets its token, while others try secrets of ids that nobody has."""
    ended = threading.Event()

    def guess(number):
        stranger = api.Principal(f"c-stranger-{number}", "x" * 43, None)
        answers = set()
        while not ended.is_set():
            answers.add(stranger.ask_token(eu).status)
        return answers

    herd = [api.add_client(customer.admin, eu, customer.id, "customer-app") for _ in range(40)]
    with ThreadPoolExecutor(max_workers=12) as strangers, ThreadPoolExecutor(max_workers=120) as threads:
        guesses = [strangers.submit(guess, number) for number in range(12)]
        statuses = list(threads.map(lambda client: client.ask_token(eu).status, 3 * herd))
        ended.set()
    assert statuses == len(statuses) * [200], statuses
    assert set().union(*(guess.result() for guess in guesses)) == {401}
