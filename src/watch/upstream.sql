-- The server that a standby replicates from: by its settings, and by its connection.
WITH d AS (SELECT $1::text::jsonb AS j),
told AS (SELECT s.setting AS text, 'primary_conninfo' AS source FROM pg_settings s WHERE s.name = 'primary_conninfo'
         UNION ALL SELECT r.conninfo, 'the WAL receiver' FROM pg_stat_wal_receiver r),
host AS (
    SELECT m.found[2] AS name, t.source FROM told t,
           regexp_matches(t.text, '\m(host|hostaddr)\s*=\s*''?([^''\s]+)', 'g') AS m(found)
    UNION ALL SELECT r.sender_host, 'the WAL receiver' FROM pg_stat_wal_receiver r WHERE r.sender_host IS NOT NULL)
SELECT 'upstream', h.name, 'named by ' || string_agg(DISTINCT h.source, ' and ') FROM d, host h
 WHERE pg_is_in_recovery() AND NOT (d.j->'upstreams' ? h.name) GROUP BY h.name
