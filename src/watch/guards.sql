-- The guards of the shipped schema ($2): does each exist, unchanged and enabled?
WITH d AS (SELECT $1::text::jsonb AS j, $2::text::jsonb AS shipped),
home AS (SELECT n.oid, n.nspname, n.nspowner, n.nspacl FROM pg_namespace n WHERE n.nspname IN ('domicile', 'domicile_guard')),
relation AS (
    SELECT c.oid, h.nspname || '.' || c.relname AS name, c.relowner, c.relacl, c.relrowsecurity, c.relkind
      FROM pg_class c JOIN home h ON h.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'S', 'v', 'm', 'f')),
code AS (
    SELECT p.oid::regprocedure::text AS name, p.proowner, p.proacl, p.prokind,
           CASE WHEN p.prokind <> 'a'
                THEN encode(sha256(convert_to(pg_get_functiondef(p.oid), 'UTF8')), 'hex') END AS digest
      FROM pg_proc p JOIN home h ON h.oid = p.pronamespace),
guard AS (
    SELECT r.name || ' ' || t.tgname AS name, t.tgisinternal,
           t.tgenabled = CASE WHEN t.tgname IN ('audit_stays', 'audit_stays_whole') THEN 'A' ELSE 'O' END AS enabled,
           encode(sha256(convert_to(pg_get_triggerdef(t.oid), 'UTF8')), 'hex') AS digest
      FROM d, pg_trigger t JOIN relation r ON r.oid = t.tgrelid WHERE d.shipped->'tables' ? r.name),
held AS (
    SELECT r.name || ' ' || k.conname AS name, k.convalidated,
           encode(sha256(convert_to(pg_get_constraintdef(k.oid), 'UTF8')), 'hex') AS digest
      FROM pg_constraint k JOIN relation r ON r.oid = k.conrelid),
granted AS (
    SELECT r.name AS object, r.relowner AS owner, a.grantee, a.privilege_type FROM relation r, aclexplode(r.relacl) a
    UNION ALL
    SELECT r.name || '.' || t.attname, r.relowner, a.grantee, a.privilege_type
      FROM relation r JOIN pg_attribute t ON t.attrelid = r.oid, aclexplode(t.attacl) a
    UNION ALL
    SELECT c.name, c.proowner, a.grantee, a.privilege_type FROM code c, aclexplode(coalesce(c.proacl, acldefault('f', c.proowner))) a
     WHERE c.proacl IS NOT NULL
    UNION ALL
    SELECT 'schema ' || h.nspname, h.nspowner, a.grantee, a.privilege_type FROM home h, aclexplode(h.nspacl) a),
grantee AS (
    SELECT g.object, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END AS name, g.privilege_type
      FROM granted g WHERE g.grantee <> g.owner)
SELECT 'guard-trigger', coalesce(g.name, s.key),
       CASE WHEN g.name IS NULL THEN 'missing' WHEN NOT g.enabled THEN 'disabled, or not enabled always'
            WHEN s.key IS NULL THEN 'a trigger that was not shipped' ELSE 'changed' END
  FROM (SELECT * FROM guard WHERE NOT tgisinternal OR NOT enabled) g
  FULL JOIN (SELECT e.key, e.value FROM d, jsonb_each_text(d.shipped->'triggers') e) s ON s.key = g.name
 WHERE g.name IS NULL OR s.key IS NULL OR NOT g.enabled OR g.digest <> s.value
UNION ALL
SELECT 'guard-trigger', r.name || ' ' || w.rulename, 'a rule that was not shipped'
  FROM d, pg_rewrite w JOIN relation r ON r.oid = w.ev_class WHERE d.shipped->'tables' ? r.name
UNION ALL
SELECT 'guard-constraint', s.key, CASE WHEN h.name IS NULL THEN 'missing' WHEN NOT h.convalidated THEN 'not validated'
                                       ELSE 'changed' END
  FROM d, jsonb_each_text(d.shipped->'constraints') s LEFT JOIN held h ON h.name = s.key
 WHERE h.name IS NULL OR NOT h.convalidated OR h.digest <> s.value
UNION ALL
SELECT 'guard-function', s.key, CASE WHEN c.name IS NULL THEN 'missing' ELSE 'changed' END
  FROM d, jsonb_each_text(d.shipped->'functions') s LEFT JOIN code c ON c.name = s.key
 WHERE c.name IS NULL OR c.digest IS DISTINCT FROM s.value
UNION ALL
SELECT 'guard-owner', o.name, 'owner ' || pg_get_userbyid(o.owner)
  FROM (SELECT name, relowner AS owner FROM relation UNION ALL SELECT name, proowner FROM code
        UNION ALL SELECT 'schema ' || nspname, nspowner FROM home
        UNION ALL SELECT 'database ' || datname, datdba FROM pg_database WHERE datname = current_database()) o
 WHERE CASE WHEN o.name ~ '^(schema )?domicile_guard\M' THEN NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = o.owner AND r.rolsuper)
            ELSE pg_get_userbyid(o.owner) <> 'domicile_owner' END
UNION ALL
SELECT 'guard-owner', r.name, 'row-level security hides some of the rows' FROM relation r WHERE r.relrowsecurity
UNION ALL
SELECT 'grant', format('%s on %s', g.name, g.object), string_agg(g.privilege_type, ', ' ORDER BY g.privilege_type)
  FROM d, grantee g
 WHERE NOT (g.name IN ('domicile_gateway', 'domicile_monitor', 'domicile_admin') AND (g.privilege_type = 'EXECUTE'
            OR (g.object = 'schema domicile' AND g.privilege_type = 'USAGE')))
   AND NOT (g.name IN ('domicile_monitor', 'domicile_admin') AND (g.object, g.privilege_type) IN (
            ('schema domicile_guard', 'USAGE'), ('domicile_guard.ddl', 'SELECT')))
   AND NOT (d.j->'declared_roles' ? g.name)
 GROUP BY g.name, g.object
UNION ALL
SELECT 'event-trigger', e.evtname, CASE WHEN d.j->'event_triggers' ? e.evtname THEN 'declared, but disabled'
                                        WHEN e.evtname = ANY (own) THEN 'not as domicile made it: disabled, changed, or made again since'
                                        ELSE 'not declared: it runs with every ' || e.evtevent END
  FROM d, pg_event_trigger e, (SELECT ARRAY['domicile_guard_ddl', 'domicile_guard_drop'] AS own) o
 WHERE NOT (d.j->'event_triggers' ? e.evtname AND e.evtenabled IN ('O', 'A'))
   AND NOT (e.evtname = ANY (own) AND e.evtenabled = 'A' AND e.evttags IS NULL
            AND e.evtevent = CASE e.evtname WHEN 'domicile_guard_ddl' THEN 'ddl_command_end' ELSE 'sql_drop' END
            AND e.evtfoid = to_regproc('domicile_guard.note_ddl')
            AND EXISTS (SELECT FROM pg_roles r WHERE r.oid = e.evtowner AND r.rolsuper)
            -- its row and the comment of the schema were written by one transaction
            AND e.xmin = (SELECT s.xmin FROM pg_description s WHERE s.classoid = 'pg_namespace'::regclass AND s.objsubid = 0
                             AND s.objoid = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = 'domicile_guard')))
UNION ALL
SELECT 'event-trigger', n, 'missing'
  FROM d, (SELECT jsonb_array_elements_text(d.j->'event_triggers') FROM d
           UNION SELECT unnest(ARRAY['domicile_guard_ddl', 'domicile_guard_drop'])) w(n)
 WHERE NOT EXISTS (SELECT FROM pg_event_trigger e WHERE e.evtname = n)
