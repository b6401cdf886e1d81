-- What the role domicile_monitor needs. A superuser runs it in the cell's database, after the role was created, before or
-- after the schema. Running it again changes nothing.
GRANT pg_monitor, pg_signal_backend TO domicile_monitor;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules(), pg_catalog.pg_show_all_file_settings() TO domicile_monitor;
GRANT SELECT ON pg_catalog.pg_hba_file_rules, pg_catalog.pg_file_settings TO domicile_monitor;
DO $$
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO domicile_monitor', current_database());
    IF to_regprocedure('domicile.watch_rights()') IS NOT NULL THEN
        PERFORM domicile.watch_rights();
    END IF;
    IF to_regprocedure('domicile.client_watch_grant()') IS NOT NULL THEN
        PERFORM domicile.client_watch_grant();
    END IF;
END $$;
