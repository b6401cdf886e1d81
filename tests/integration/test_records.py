"""One record: written, read, replaced, deleted; its entity tags and conditions."""
import re
from urllib.parse import quote

import pytest
from problems import refused
from wire import Wire

ETAG = re.compile(r'"[0-9a-f]{16}"')
CLASSES = ["health", "identity", "telemetry", "operational"]
ODD_KEYS = ["a/b/c", "a b", "%", "%2F", "?x=1", "#", "a..b", "...", "~", "ü/ñ", "日本語", "🙂", "é", "e\u0301", "+", "a&b=c",
            "\u200b", "\x01", "k" * 512, "é" * 256, "-", "0"]


def tag_number(answer):
    assert ETAG.fullmatch(answer.etag), answer
    return int(answer.etag.strip('"'), 16)


@pytest.mark.parametrize("record_class", CLASSES)
def test_what_was_written_is_read(customer, record_class):
    body = bytes(range(256)) * 4
    made = customer.put(record_class, "round/trip", body, {"Content-Type": "application/fhir+json; charset=utf-8"})
    assert (made.status, made.body) == (201, b"")
    read = customer.get(record_class, "round/trip")
    assert (read.status, read.body, read.etag) == (200, body, made.etag)
    assert read.header("content-type") == "application/fhir+json; charset=utf-8"


def test_an_empty_body_and_a_full_one(customer):
    for key, size in (("empty", 0), ("full", 1024 * 1024)):
        assert customer.put("health", key, b"x" * size).status == 201
        assert len(customer.get("health", key).body) == size


def test_a_replacement_has_a_later_tag(customer):
    first = customer.put("health", "replaced", b"one")
    second = customer.put("health", "replaced", b"two", {"Content-Type": "text/plain"})
    assert (first.status, second.status) == (201, 200)
    assert tag_number(second) > tag_number(first)
    read = customer.get("health", "replaced")
    assert (read.body, read.etag, read.header("content-type")) == (b"two", second.etag, "text/plain")


def test_the_same_key_in_two_classes_is_two_records(customer):
    customer.put("health", "shared", b"health")
    customer.put("operational", "shared", b"operational")
    assert customer.get("health", "shared").body == b"health"
    assert customer.get("operational", "shared").body == b"operational"


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys_come_back_as_they_went(customer, key):
    body = key.encode()
    assert customer.put("identity", key, body).status in (200, 201)
    assert customer.get("identity", key).body == body
    assert key in [row["key"] for row in customer.list("identity", "?limit=1000").json()["records"]]


def test_head_says_what_get_says(customer):
    customer.put("health", "head", b"twelve bytes", {"Content-Type": "text/plain"})
    head, get = (customer.ask(method, customer.record("health", "head")) for method in ("HEAD", "GET"))
    assert (head.status, head.body) == (200, b"")
    for name in ("etag", "content-type", "content-length"):
        assert head.header(name) == get.header(name)
    assert head.header("content-length") == "12"
    missing = customer.ask("HEAD", customer.record("health", "no-such"))
    assert (missing.status, missing.body) == (404, b"")


def test_not_modified(customer):
    etag = customer.put("health", "cached", b"x").etag
    fresh = customer.get("health", "cached", {"If-None-Match": etag})
    assert (fresh.status, fresh.body, fresh.etag) == (304, b"", etag)
    assert customer.get("health", "cached", {"If-None-Match": '"0000000000000001"'}).status == 200


def test_answers_are_not_for_caches(customer):
    customer.put("health", "private", b"x")
    assert "no-store" in (customer.get("health", "private").header("cache-control") or "")


# --- conditions ---


def test_if_match_lets_only_the_tag_that_was_seen(customer):
    etag = customer.put("health", "matched", b"1").etag
    newer = customer.put("health", "matched", b"2", {"If-Match": etag})
    assert newer.status == 200
    refused(customer.put("health", "matched", b"3", {"If-Match": etag}), "precondition")
    assert customer.get("health", "matched").body == b"2"
    assert customer.put("health", "matched", b"4", {"If-Match": "*"}).status == 200


def test_if_match_needs_a_record(customer):
    for value in ("*", '"0000000000000001"'):
        refused(customer.put("health", "if-match-absent", b"x", {"If-Match": value}), "precondition")
    refused(customer.get("health", "if-match-absent"), "record-unknown")


def test_if_none_match_star_creates_only(customer):
    star = {"If-None-Match": "*"}
    assert customer.put("health", "only-new", b"1", star).status == 201
    refused(customer.put("health", "only-new", b"2", star), "precondition")
    assert customer.get("health", "only-new").body == b"1"
    customer.delete("health", "only-new")
    assert customer.put("health", "only-new", b"3", star).status == 201


@pytest.mark.parametrize("value", ["x", "0000000000000001", 'W/"0000000000000001"', '"1", "2"', '"'])
def test_a_malformed_condition_is_refused(customer, value):
    customer.put("health", "malformed-condition", b"1")
    answer = customer.put("health", "malformed-condition", b"2", {"If-Match": value})
    assert answer.slug in ("argument", "precondition"), answer
    assert customer.get("health", "malformed-condition").body == b"1"


def test_of_two_writers_with_one_tag_one_wins(customer):
    etag = customer.put("health", "race", b"0").etag
    wires = [customer.gateway.wire() for _ in range(8)]
    headers = customer.headers({"If-Match": etag, "Content-Type": "text/plain"})
    for number, wire in enumerate(wires):
        wire.request("PUT", customer.record("health", "race"), headers, b"%d" % (number + 1))
    answers = [wire.answer("PUT") for wire in wires]
    for wire in wires:
        wire.close()
    assert sorted(answer.status for answer in answers) == [200] + [412] * 7
    winner = next(number for number, answer in enumerate(answers) if answer.status == 200)
    assert customer.get("health", "race").body == b"%d" % (winner + 1)


# --- delete ---


def test_deleted_is_gone(customer):
    customer.put("health", "doomed", b"x")
    gone = customer.delete("health", "doomed")
    assert (gone.status, gone.body) == (204, b"")
    refused(customer.get("health", "doomed"), "record-unknown")
    refused(customer.delete("health", "doomed"), "record-unknown")
    assert "doomed" not in [row["key"] for row in customer.list("health", "?prefix=doomed").json()["records"]]


def test_delete_honours_if_match(customer):
    etag = customer.put("health", "kept", b"1").etag
    newer = customer.put("health", "kept", b"2").etag
    refused(customer.delete("health", "kept", {"If-Match": etag}), "precondition")
    assert customer.delete("health", "kept", {"If-Match": newer}).status == 204


def test_a_record_made_again_has_a_later_tag(customer):
    first = customer.put("health", "phoenix", b"1")
    customer.delete("health", "phoenix")
    second = customer.put("health", "phoenix", b"2")
    assert second.status == 201
    assert tag_number(second) > tag_number(first)


# --- Idempotency-Key ---


def test_the_same_request_again_gets_the_same_answer(customer):
    once = {"Idempotency-Key": "once-1"}
    first = customer.put("health", "idem", b"x", once)
    again = customer.put("health", "idem", b"x", once)
    assert first.status == 201
    assert again.etag == first.etag
    assert again.status in (200, 201)
    assert customer.get("health", "idem").etag == first.etag


def test_a_replay_does_not_undo_what_came_after(customer):
    once = {"Idempotency-Key": "once-2"}
    first = customer.put("health", "idem-later", b"old", once)
    customer.put("health", "idem-later", b"new")
    assert customer.put("health", "idem-later", b"old", once).etag == first.etag
    assert customer.get("health", "idem-later").body == b"new"


@pytest.mark.parametrize("change", ["body", "key", "class", "type"])
def test_another_request_under_the_same_key_is_refused(customer, change):
    once = {"Idempotency-Key": f"other-{change}"}
    place = {"record_class": "health", "key": f"idem-{change}", "body": b"1"}
    assert customer.put(**place, headers=once).status == 201
    other = dict(place)
    headers = dict(once)
    if change == "type":
        headers["Content-Type"] = "text/other"
    else:
        name, value = {"body": ("body", b"2"), "key": ("key", "idem-another"), "class": ("record_class", "identity")}[
            change]
        other[name] = value
    refused(customer.put(**other, headers=headers), "idempotency")
    assert customer.get("health", f"idem-{change}").body == b"1"


@pytest.mark.parametrize("value", ["", "x" * 129, "a b", "é"])
def test_a_malformed_idempotency_key_is_refused(customer, value):
    with Wire(customer.gateway.address, customer.gateway.port, customer.gateway.ca) as wire:
        headers = customer.headers({"Content-Type": "text/plain"})
        lines = "".join(f"{name}: {text}\r\n" for name, text in {"Host": wire.host, **headers}.items())
        wire.send(f"PUT {customer.record('health', 'idem-bad')} HTTP/1.1\r\n{lines}Content-Length: 1\r\n"
                  f"Idempotency-Key: {value}\r\n\r\nx".encode())
        answer = wire.answer()
    assert answer.status == 400, answer
    refused(customer.get("health", "idem-bad"), "record-unknown")


def test_idempotency_keys_of_two_customers_are_apart(customer, new_customer):
    other = new_customer(customer.gateway)
    once = {"Idempotency-Key": "shared-by-two"}
    assert customer.put("health", "apart", b"1", once).status == 201
    assert other.put("health", "apart", b"2", once).status == 201
    assert other.get("health", "apart").body == b"2"


# --- lists ---


@pytest.fixture(scope="module")
def listed(new_customer, eu):
    """A customer with these keys in `telemetry`, in bytewise order."""
    customer = new_customer(eu)
    keys = sorted([*ODD_KEYS, *(f"page/{number:03d}" for number in range(25))], key=str.encode)
    for key in keys:
        assert customer.put("telemetry", key, key.encode(), {"Content-Type": "text/plain"}).status == 201
    return customer, keys


def test_a_list_is_whole_and_in_order(listed):
    customer, keys = listed
    answer = customer.list("telemetry", "?limit=1000")
    assert answer.status == 200 and answer.header("content-type") == "application/json"
    page = answer.json()
    assert [row["key"] for row in page["records"]] == keys
    assert page["next"] is None
    for row in page["records"]:
        assert ETAG.fullmatch(row["etag"]) and row["stored_bytes"] > len(row["key"].encode()), row


@pytest.mark.parametrize("limit", [1, 7, 46])
def test_pages_join_to_the_whole(listed, limit):
    customer, keys = listed
    seen, after = [], ""
    while True:
        page = customer.list("telemetry", f"?limit={limit}&after={quote(after, safe='')}" if after
                             else f"?limit={limit}").json()
        assert len(page["records"]) <= limit
        seen += [row["key"] for row in page["records"]]
        if page["next"] is None:
            break
        after = page["next"]
        assert len(seen) <= len(keys)
    assert seen == keys


def test_a_prefix_selects(listed):
    customer, keys = listed
    for prefix in ("page/", "page/01", "a", "ü", "%", "no-such"):
        page = customer.list("telemetry", f"?prefix={quote(prefix, safe='')}&limit=1000").json()
        assert [row["key"] for row in page["records"]] == [key for key in keys if key.startswith(prefix)], prefix
    page = customer.list("telemetry", "?prefix=page/&after=page/010&limit=5").json()
    assert [row["key"] for row in page["records"]] == [f"page/{number:03d}" for number in range(11, 16)]


def test_a_list_tag_is_the_record_tag(listed):
    customer, _ = listed
    row = customer.list("telemetry", "?prefix=page/003").json()["records"][0]
    assert customer.get("telemetry", "page/003").etag == row["etag"]


@pytest.mark.parametrize("query", ["?limit=0", "?limit=1001", "?limit=-1", "?limit=1e3", "?limit=", "?limit=1&limit=2",
                                   "?prefix=%FF", "?after=%00", "?prefix=%", "?prefix=" + "x" * 513])
def test_a_malformed_query_is_refused(listed, query):
    customer, _ = listed
    answer = customer.list("telemetry", query)
    assert answer.status == 400, answer
    assert answer.slug in ("argument", "key", "target"), answer


def test_an_empty_class_lists_nothing(new_customer, eu):
    page = new_customer(eu).list("health").json()
    assert page == {"records": [], "next": None}
