-- Code in the database that can reach outside, or that is not in the shipped schema ($2).
WITH d AS (SELECT $1::text::jsonb AS j, $2::text::jsonb AS shipped),
alien AS (
    SELECT p.oid::regprocedure::text AS name, l.lanname, p.prosecdef, pg_get_userbyid(p.proowner) AS owner,
           array_remove(ARRAY[
               CASE WHEN p.prosrc ~* 'dblink|postgres(ql)?://|\mhost(addr)?\s*=' THEN 'contains a connection string' END,
               CASE WHEN p.prosrc ~* '\mcopy\M.*\mprogram\M' THEN 'copies to or from a program' END,
               CASE WHEN p.prosrc ~* '\mcopy\M.*\mto\M\s*''' THEN 'copies to a file' END,
               CASE WHEN p.prosrc ~* 'lo_export|pg_read_(binary_)?file|pg_ls_dir' THEN 'reads or writes files' END],
               NULL) AS reach
      FROM d, pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
     WHERE p.oid >= 16384 AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
       AND NOT EXISTS (SELECT FROM pg_language h WHERE p.oid IN (h.lanplcallfoid, h.laninline, h.lanvalidator))
       AND NOT (d.shipped->'functions' ? p.oid::regprocedure::text)
       AND NOT (d.j->'functions' ? p.oid::regprocedure::text))
SELECT 'foreign-server', s.srvname::text,
       format('wrapper %s, options %s', w.fdwname, coalesce(array_to_string(s.srvoptions, ', '), 'none'))
  FROM d, pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
 WHERE NOT (d.j->'servers' ? s.srvname)
UNION ALL
SELECT CASE WHEN e.extname IN ('dblink', 'postgres_fdw', 'file_fdw') THEN 'dblink' ELSE 'extension' END,
       'extension ' || e.extname, 'version ' || e.extversion
  FROM d, pg_extension e WHERE e.extname <> 'plpgsql' AND NOT (d.j->'extensions' ? e.extname)
UNION ALL
SELECT CASE WHEN 'contains a connection string' = ANY (reach) THEN 'dblink' ELSE 'function' END, 'function ' || name,
       format('language %s, owner %s%s%s', lanname, owner,
              CASE WHEN prosecdef THEN ', runs with its owner''s rights' ELSE '' END,
              coalesce(', ' || nullif(array_to_string(reach, ', '), ''), ''))
  FROM alien
UNION ALL
SELECT 'language', 'language ' || l.lanname, 'not trusted: its functions can do all that the server''s account can do'
  FROM d, pg_language l WHERE NOT l.lanpltrusted AND l.lanname NOT IN ('internal', 'c')
UNION ALL
SELECT 'language', 'function ' || name, 'written in C' FROM alien WHERE lanname = 'c'
