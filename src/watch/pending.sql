-- Settings of the files that are not in force (yet), and settings made by ALTER SYSTEM.
WITH d AS (SELECT $1::text::jsonb AS j),
line AS (
    SELECT DISTINCT ON (lower(f.name)) lower(f.name) AS name, f.setting, f.error, f.sourcefile, f.sourceline
      FROM pg_file_settings f WHERE f.name IS NOT NULL ORDER BY lower(f.name), f.seqno DESC),
compared AS (
    SELECT l.*, s.setting AS running, CASE
        WHEN s.vartype = 'bool' THEN (lower(l.setting) IN ('on', 'true', 'yes', '1', 't', 'y')) = (s.setting = 'on')
        WHEN s.vartype IN ('integer', 'real') AND l.setting ~ '^-?[0-9.]+$' THEN l.setting::numeric = s.setting::numeric
        WHEN s.vartype IN ('integer', 'real') AND s.unit ~ 'B$' AND l.setting ~* '^[0-9.]+\s*([kMGT]?B)$'
            THEN abs(pg_size_bytes(l.setting) - s.setting::numeric * pg_size_bytes(regexp_replace(s.unit, '^(?=[kMB])', '1')))
                 < pg_size_bytes(regexp_replace(s.unit, '^(?=[kMB])', '1'))
        WHEN s.vartype IN ('integer', 'real') AND s.unit IN ('ms', 's', 'min') AND l.setting ~ '^[0-9.]+\s*(us|ms|s|min|h|d)$'
            THEN abs(extract(epoch FROM l.setting::interval) / extract(epoch FROM ('1' || s.unit)::interval)
                     - s.setting::numeric) < 1
        ELSE lower(l.setting) = lower(s.setting) OR (s.setting = '(disabled)') END AS same
      FROM line l JOIN pg_settings s ON lower(s.name) = l.name
     WHERE l.error IS NULL AND s.source NOT IN ('override', 'client', 'session', 'database', 'user', 'database user'))
SELECT 'settings-pending', name, format('"%s" in %s line %s, "%s" in force', setting, regexp_replace(sourcefile, '.*/', ''),
                                        sourceline, running)
  FROM compared WHERE NOT same
UNION ALL
SELECT 'settings-pending', coalesce(f.name, 'line ' || f.sourceline), format('%s in %s line %s', f.error,
           regexp_replace(f.sourcefile, '.*/', ''), f.sourceline)
  FROM pg_file_settings f
 WHERE f.error IS NOT NULL AND NOT EXISTS (SELECT FROM compared c WHERE c.name = lower(f.name) AND NOT c.same)
UNION ALL
SELECT 'settings-pending', s.name, 'waits for a restart' FROM pg_settings s
 WHERE s.pending_restart AND NOT EXISTS (SELECT FROM compared c WHERE c.name = lower(s.name) AND NOT c.same)
   AND NOT EXISTS (SELECT FROM pg_file_settings f WHERE f.error IS NOT NULL AND lower(f.name) = lower(s.name))
UNION ALL
SELECT 'settings-auto', f.name, format('"%s" by ALTER SYSTEM', f.setting)
  FROM d, pg_file_settings f
 WHERE f.sourcefile ~ '/postgresql\.auto\.conf$' AND f.name IS NOT NULL
   AND f.name NOT IN ('primary_conninfo', 'primary_slot_name', 'synchronous_standby_names')
   AND NOT (d.j->'settings' ? f.name)
