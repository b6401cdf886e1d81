"""P8, of the cell: what its functions answer is checked before it is read. Somebody has replaced one by hand: that is an
error which names the cell, and the gateway goes on for everybody else."""
import pytest
from exposition import total
from sabotage import answering

KEY = "answered"
ROW = "key := 'k'; revision := 1; key_version := 1; written_at := now(); payload_bytes := 1; payload := 'x'; "
FOUND = "outcome := 'found'; revision := 1; key_version := 1; "


def read(customer):
    return customer.get("health", KEY)


def write(customer):
    return customer.put("health", "another", b"x")


def remove(customer):
    return customer.delete("health", "not-there")


def listed(customer):
    return customer.list("health")


def exported(customer):
    return customer.export("health")


def clients(customer):
    return customer.admin.ask(customer.gateway, "GET", f"/v1/customers/{customer.id}/clients")


CASES = {
    "a read of NULLs": ("record_get_audited", "", read, "a NULL in column 1"),
    "a record without its revision": ("record_get_audited", FOUND + "revision := NULL;", read, "a NULL in column 2"),
    "a record without content": ("record_get_audited", FOUND, read, "a NULL in column 4"),
    "a write of NULLs": ("record_put", "", write, "a NULL in column 1"),
    "a write without its revision": ("record_put", "outcome := 'created';", write, "a NULL in column 2"),
    "a deletion of NULLs": ("record_delete", "", remove, "a NULL in column 1"),
    "a list without keys": ("record_page", ROW + "key := NULL; RETURN NEXT;", listed, "a NULL in column 1"),
    "a list of records of all times": ("record_page", ROW + "written_at := 'infinity'; RETURN NEXT;", listed,
                                       "a time that is out of range"),
    "a list with a key that is too long": ("record_page", ROW + "key := repeat('k', 513); RETURN NEXT;", listed,
                                           "a value that is too long in column 1"),
    "an export that repeats itself": ("record_page", ROW + "RETURN NEXT; RETURN NEXT;", exported,
                                      "records that were not asked for"),
    "a list without end": ("record_page", ROW + "FOR i IN 1..300000 LOOP key := repeat('k', 500); RETURN NEXT; END LOOP;",
                           listed, "300000 rows"),
    "clients without a time": ("client_page", "id := 'c-x'; role := 'customer-app'; RETURN NEXT;", clients,
                               "a NULL in column 3"),
    "clients without end": ("client_page", "FOR i IN 1..300000 LOOP id := 'c-x'; role := 'r'; created_at := now();"
                            " RETURN NEXT; END LOOP;", clients, "more bytes than it may have"),
}


@pytest.fixture(scope="module")
def other(new_customer, eu):
    made = new_customer(eu)
    made.put("health", KEY, b"theirs")
    return made


@pytest.mark.parametrize("case", CASES)
def test_p8_an_answer_that_does_not_fit(case, customer, other, american, eu, database):
    name, body, ask, said = CASES[case]
    customer.put("health", KEY, b"ours")
    american.put("health", KEY, b"american")
    pid, size = eu.pid, eu.log_size()
    before = total(eu, "domicile_cell_answers_unfit_total", cell="eu-fr-1")
    with answering(database(eu), name, customer, body):
        for _ in range(3):
            answer = ask(customer)
            assert answer.status == 500 and answer.slug == "schema", answer
        assert other.get("health", KEY).body == b"theirs"
        assert american.get("health", KEY).body == b"american"
    log = eu.log_since(size)
    assert log.count(f"'eu-fr-1' answered '{name}' with") >= 3 and said in log, log
    assert ("records that were not asked for" in said or
            total(eu, "domicile_cell_answers_unfit_total", cell="eu-fr-1") == before + 3)
    assert eu.pid == pid
    assert customer.get("health", KEY).body == b"ours"


def test_p8_lines_of_a_bulk_request(customer, other, eu, database):
    """Those lines fail, the answer is whole, and the log names the cell."""
    size = eu.log_size()
    with answering(database(eu), "record_put", customer, "IF p_key LIKE 'bad%' THEN RETURN; END IF; outcome := 'created';"
                   " stored := p_revision;"):
        answer = customer.bulk("health", [{"key": f"{kind}-{i}", "value": i} for i in range(9) for kind in ("good", "bad")])
    statuses = [line["status"] for line in answer.lines()]
    assert answer.status == 200 and statuses == [201, 500] * 9, answer
    assert "'eu-fr-1' answered 'record_put' with a NULL" in eu.log_since(size)
