-- Objects outside the shipped schema ($2) that could contain records.
WITH d AS (SELECT $1::text::jsonb AS j, $2::text::jsonb AS shipped),
relation AS (
    SELECT c.oid, c.relkind, n.nspname || '.' || c.relname AS name, pg_get_userbyid(c.relowner) AS owner,
           c.relpersistence, ARRAY(SELECT a.attname::text FROM pg_attribute a
                                    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND c.oid >= 16384 AND n.nspname !~ '^pg_toast'
       AND n.nspname NOT IN ('pg_catalog', 'information_schema')
       AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')),
alien AS (
    SELECT r.*, r.relkind = 'm'
               OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = r.oid)
               OR (SELECT count(*) FROM unnest(r.columns) c WHERE d.shipped->'tables'->'domicile.record' ? c) >= 3
               OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
                             AND a.atttypid = 'bytea'::regtype AND a.attname IN ('payload', 'wrapped')) AS copies
      FROM d, relation r WHERE NOT (d.shipped->'tables' ? r.name) AND NOT (d.j->'tables' ? r.name))
SELECT CASE WHEN copies THEN 'copy' ELSE 'table' END, CASE relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN
           'materialised view ' WHEN 'f' THEN 'foreign table ' ELSE 'table ' END || name,
       format('owner %s, columns %s%s', owner, array_to_string(columns, ', '),
              CASE relpersistence WHEN 't' THEN ', temporary' WHEN 'u' THEN ', unlogged' ELSE '' END)
  FROM alien
UNION ALL
SELECT 'column', r.name || '.' || c, 'not in the shipped schema'
  FROM d, relation r, unnest(r.columns) c
 WHERE d.shipped->'tables' ? r.name AND NOT (d.shipped->'tables'->r.name ? c)
UNION ALL
SELECT 'large-object', 'of ' || pg_get_userbyid(l.lomowner), count(*) || ' large objects'
  FROM pg_largeobject_metadata l GROUP BY l.lomowner
UNION ALL
SELECT 'tablespace', t.spcname, 'at ' || pg_tablespace_location(t.oid) FROM d, pg_tablespace t
 WHERE t.spcname NOT IN ('pg_default', 'pg_global') AND NOT (d.j->'tablespaces' ? t.spcname)
UNION ALL
SELECT 'database', b.datname, 'owner ' || pg_get_userbyid(b.datdba) FROM d, pg_database b
 WHERE b.datname NOT IN (current_database(), 'postgres', 'template0', 'template1') AND NOT (d.j->'databases' ? b.datname)
