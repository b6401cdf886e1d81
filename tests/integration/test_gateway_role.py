"""What the gateway's database role cannot do beyond its task: whoever has its certificate is not a superuser's neighbour."""
import contextlib

import psycopg2
import psycopg2.errors
import pytest


@pytest.fixture
def as_gateway(sandbox, eu):
    """as_gateway(text, *values): a statement in a session of that role, each its own transaction unless it says otherwise."""
    node = next(node for node in sandbox.nodes.values() if node.region == eu.region)
    with contextlib.closing(psycopg2.connect(node.superuser())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION AUTHORIZATION domicile_gateway")

            def run(text, *values):
                cursor.execute(text, values or None)
                return cursor.fetchall() if cursor.description else None

            yield run


@pytest.mark.parametrize("text", [
    "SELECT lo_create(0)", "SELECT lo_creat(-1)", "SELECT lo_from_bytea(0, 'x')",
    "SELECT pg_logical_emit_message(false, 'p', 'out')", "SELECT pg_logical_emit_message(true, 'p', 'out'::bytea)",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = current_user",
    "SELECT pg_cancel_backend(0)",
    "SELECT pg_advisory_lock(7308894115271946611)", "SELECT pg_try_advisory_lock(7308894115271946612)",
    "SELECT pg_advisory_xact_lock(1)", "SELECT pg_try_advisory_xact_lock_shared(1, 1)", "SELECT pg_advisory_lock_shared(1)",
    "CREATE TEMPORARY TABLE t (i integer)", "CREATE TABLE public.t (i integer)", "CREATE SCHEMA s",
])
def test_p2_the_gateways_role_keeps_nothing_and_holds_nobody_up(as_gateway, text):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        as_gateway(text)


ADD = "SELECT outcome FROM domicile.audit_add('eu-fr', (SELECT epoch FROM domicile.cell_status()), NULL, NULL, NULL, NULL, %s, " \
      "'x', 'p', 'r', 'rule', NULL, 'q', NULL)"


@pytest.mark.parametrize("action", ["put", "get", "delete", "export", "key-rotate", "cell-degrade", "finding-end", ""])
def test_p3_no_row_is_added_for_what_was_not_done(as_gateway, action):
    assert as_gateway(ADD, action) == [("bounds",)]


@pytest.mark.parametrize("value", ["off", "local"])
def test_p4_a_gateway_that_does_not_wait_for_the_standby_writes_nothing(as_gateway, value):
    assert as_gateway(ADD, "refusal") == [("recorded",)]
    as_gateway(f"SET synchronous_commit = {value}")
    with pytest.raises(psycopg2.Error) as refused:
        as_gateway(ADD, "refusal")
    assert refused.value.pgcode == "DM011"
