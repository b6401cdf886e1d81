"""The directory's file, looked into and tampered with from outside, as another process of the host could."""
import contextlib
import sqlite3


class Directory:
    def __init__(self, path):
        self.path = path

    @contextlib.contextmanager
    def open(self):
        with contextlib.closing(sqlite3.connect(self.path, timeout=5, isolation_level=None)) as connection:
            yield connection

    def row(self, customer_id):
        with self.open() as connection:
            connection.row_factory = sqlite3.Row
            row = connection.execute("SELECT * FROM customer WHERE id = ?", (customer_id,)).fetchone()
            return dict(row) if row else None

    def set(self, customer_id, **columns):
        """Changes a row as a gateway does: under a version greater than all before it, which the watchers follow."""
        names = ", ".join(f"{name} = ?" for name in columns)
        with self.open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            changed = connection.execute(
                f"UPDATE customer SET {names}, version = (SELECT max(version) + 1 FROM customer) WHERE id = ?",
                (*columns.values(), customer_id)).rowcount
            connection.execute("COMMIT")
        assert changed == 1, f"no customer {customer_id} in the directory"

    def services(self):
        """version -> (digest, document)"""
        with self.open() as connection:
            return {row[0]: row[1:] for row in connection.execute("SELECT version, digest, document FROM services")}

    def mark(self, name):
        with self.open() as connection:
            row = connection.execute("SELECT version FROM mark WHERE name = ?", (name,)).fetchone()
            return row[0] if row else 0

    def ids(self):
        with self.open() as connection:
            return {row[0] for row in connection.execute("SELECT id FROM customer WHERE removed = 0")}

    def is_whole(self):
        with self.open() as connection:
            return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
