-- Roles, their attributes and memberships. Every cluster has the superuser that initdb created. The owner of the schema,
-- which cannot log in, drops slots for the monitor: it has REPLICATION, and may end a walsender.
WITH d AS (SELECT $1::text::jsonb AS j)
SELECT 'role', r.rolname::text, CASE WHEN r.rolcanlogin THEN 'may log in' ELSE 'may not log in' END
  FROM d, pg_roles r WHERE r.oid >= 16384 AND NOT (d.j->'roles' ? r.rolname)
UNION ALL
SELECT 'role-attribute', r.rolname, array_to_string(array_remove(ARRAY[
           CASE WHEN r.rolsuper THEN 'superuser' END,
           CASE WHEN r.rolreplication AND NOT may_replicate THEN 'replication' END,
           CASE WHEN r.rolbypassrls THEN 'bypassrls' END,
           CASE WHEN r.rolcreaterole THEN 'createrole' END,
           CASE WHEN r.rolcreatedb THEN 'createdb' END], NULL), ', ')
  FROM d, pg_roles r, LATERAL (SELECT d.j->'replication_roles' ? r.rolname
                                   OR (r.rolname = 'domicile_owner' AND NOT r.rolcanlogin) AS may_replicate) m
 WHERE r.oid >= 16384 AND NOT (d.j->'declared_roles' ? r.rolname)
   AND (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb
        OR (r.rolreplication AND NOT may_replicate))
UNION ALL
SELECT 'server-files', format('%s in %s', r.rolname, g.rolname), 'may use SET ROLE, or has its rights'
  FROM d, pg_roles r, pg_roles g
 WHERE g.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files')
   AND r.oid >= 16384 AND NOT r.rolsuper AND pg_has_role(r.oid, g.oid, 'MEMBER')
   AND NOT (d.j->'declared_roles' ? r.rolname)
UNION ALL
SELECT 'role-member', format('%s in %s', r.rolname, g.rolname),
       CASE WHEN m.admin_option THEN 'and may add other members' ELSE 'member' END
  FROM d, pg_auth_members m JOIN pg_roles r ON r.oid = m.member JOIN pg_roles g ON g.oid = m.roleid
 WHERE m.member >= 16384 AND NOT (d.j->'declared_roles' ? r.rolname)
   AND g.rolname NOT IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files')
   AND format('%s in %s', r.rolname, g.rolname) NOT IN (
       'domicile_monitor in pg_monitor', 'domicile_monitor in pg_signal_backend', 'domicile_owner in pg_signal_backend')
