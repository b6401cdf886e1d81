-- What keeps the guards of the schema domicile: a superuser's, so that neither the schema's owner nor whoever may act as it can
-- change it. Applied by `domicile cell migrate` as a superuser, after the schema's files, whenever it or they have changed.
-- Unlike those it is edited.

SET LOCAL search_path = pg_catalog, pg_temp;
CREATE SCHEMA IF NOT EXISTS domicile_guard;
REVOKE ALL ON SCHEMA domicile_guard FROM PUBLIC;

-- DDL on objects of the two schemas. A row commits with what it tells of, even if that was undone before the commit. migration:
-- the schema file that it belongs to.
CREATE TABLE IF NOT EXISTS domicile_guard.ddl (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid       xid8 NOT NULL DEFAULT pg_current_xact_id(),
    who       text NOT NULL DEFAULT session_user,
    as_role   text NOT NULL DEFAULT current_setting('role'),
    address   text NOT NULL DEFAULT coalesce(host(inet_client_addr()), 'a local socket'),
    tag       text NOT NULL,
    kind      text NOT NULL,
    object    text NOT NULL,
    migration text
);
REVOKE ALL ON domicile_guard.ddl FROM PUBLIC;

CREATE OR REPLACE FUNCTION domicile_guard.note_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_EVENT = 'sql_drop' THEN
        INSERT INTO domicile_guard.ddl (tag, kind, object)
        SELECT TG_TAG, o.object_type, left(o.object_identity, 300) FROM pg_event_trigger_dropped_objects() o
         WHERE o.original AND o.object_identity ~ '\mdomicile(_guard)?\M';
    ELSE
        INSERT INTO domicile_guard.ddl (tag, kind, object)
        SELECT c.command_tag, c.object_type, left(c.object_identity, 300) FROM pg_event_trigger_ddl_commands() c
         WHERE c.object_identity ~ '\mdomicile(_guard)?\M';
    END IF;
END $$;
REVOKE ALL ON FUNCTION domicile_guard.note_ddl FROM PUBLIC;

DROP EVENT TRIGGER IF EXISTS domicile_guard_ddl;
DROP EVENT TRIGGER IF EXISTS domicile_guard_drop;
CREATE EVENT TRIGGER domicile_guard_ddl ON ddl_command_end EXECUTE FUNCTION domicile_guard.note_ddl();
CREATE EVENT TRIGGER domicile_guard_drop ON sql_drop EXECUTE FUNCTION domicile_guard.note_ddl();
-- session_replication_role, which a superuser may set in his own session, switches off neither these nor the guards of the
-- audit log.
ALTER EVENT TRIGGER domicile_guard_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER domicile_guard_drop ENABLE ALWAYS;

DO $$
DECLARE
    v_what text;
BEGIN
    -- No role that a certificate maps to, nor any other, has the owner's rights.
    FOR v_what IN SELECT pg_get_userbyid(m.member) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
                   WHERE r.rolname = 'domicile_owner' LOOP
        EXECUTE format('REVOKE domicile_owner FROM %I', v_what);
    END LOOP;
    FOR v_what IN SELECT t.tgname FROM pg_trigger t WHERE t.tgrelid = to_regclass('domicile.audit') AND NOT t.tgisinternal
                     AND t.tgname IN ('audit_stays', 'audit_stays_whole') AND t.tgenabled <> 'A' LOOP
        EXECUTE format('ALTER TABLE domicile.audit ENABLE ALWAYS TRIGGER %I', v_what);
    END LOOP;
    -- What an administrator's certificate may do: the staff's clients, the rows of a request, and looking.
    IF EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'domicile_admin') THEN
        GRANT USAGE ON SCHEMA domicile, domicile_guard TO domicile_admin;
        GRANT SELECT ON domicile_guard.ddl TO domicile_admin;
        FOR v_what IN SELECT p.oid::regprocedure::text FROM pg_proc p
                       WHERE p.pronamespace = 'domicile'::regnamespace AND p.prosecdef
                         AND p.proname IN ('cell_status', 'client_page', 'client_set_get',
                                           'staff_client_put', 'heartbeat_read', 'findings_open', 'findings_ended',
                                           'watch_unsealed', 'audit_of_request') LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO domicile_admin', v_what);
        END LOOP;
    END IF;
    IF EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'domicile_monitor') THEN
        GRANT USAGE ON SCHEMA domicile_guard TO domicile_monitor;
        GRANT SELECT ON domicile_guard.ddl TO domicile_monitor;
    END IF;
END $$;
