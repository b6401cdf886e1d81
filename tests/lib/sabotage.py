"""Breaking one thing of a running cell for one customer, and mending it."""
import contextlib
import re

from api import random_id


@contextlib.contextmanager
def refusing_audit(connection, customer, when="true"):
    """While it lasts, no audit row of this customer can be inserted; or none of which `when` (SQL, the row is NEW) holds."""
    name = random_id("refuse").replace("-", "_")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE FUNCTION public.{name}() RETURNS trigger LANGUAGE plpgsql AS"
                       " 'BEGIN RAISE EXCEPTION ''the audit log refuses''; END'")
        cursor.execute(f"CREATE TRIGGER {name} BEFORE INSERT ON domicile.audit FOR EACH ROW"
                       f" WHEN (NEW.customer = '{customer.id}' AND {when}) EXECUTE FUNCTION public.{name}()")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TRIGGER {name} ON domicile.audit")
            cursor.execute(f"DROP FUNCTION public.{name}()")


@contextlib.contextmanager
def answering(connection, name, customer, body):
    """While it lasts, the cell's function `name` is one that somebody wrote by hand: for this customer it does `body`
    (PL/pgSQL), for all others what it should."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef(oid), pg_get_function_arguments(oid), pg_get_function_result(oid),"
                       " proretset, proargnames, proargmodes::text[] FROM pg_proc"
                       " WHERE pronamespace = 'domicile'::regnamespace AND proname = %s", (name,))
        definition, arguments, returned, is_set, names, modes = cursor.fetchone()
        given = ", ".join(arg for arg, mode in zip(names, modes) if mode == "i")
        made = ", ".join(arg for arg, mode in zip(names, modes) if mode != "i")
        others = f"SELECT * {'' if is_set else f'INTO {made} '}FROM domicile.kept_{name}({given})"
        cursor.execute(re.sub(rf"\b{name}(?=[.(])", f"kept_{name}", definition))
        cursor.execute(f"CREATE OR REPLACE FUNCTION domicile.{name}({arguments}) RETURNS {returned} LANGUAGE plpgsql"
                       f" SECURITY DEFINER AS $by_hand$ BEGIN IF p_customer = '{customer.id}' THEN {body} RETURN; END IF;"
                       f" {'RETURN QUERY ' if is_set else ''}{others}; END $by_hand$")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(definition)
            cursor.execute(f"DROP FUNCTION domicile.kept_{name}")
