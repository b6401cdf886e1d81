"""Breaking one thing of a running cell for one customer, and mending it."""
import contextlib

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
