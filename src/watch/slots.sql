-- Slots that belong to no declared standby. A temporary physical slot ends with its walsender, which senders shows.
SELECT 'slot-' || s.slot_type, s.slot_name::text,
       format('%s, %s, %s, keeps WAL from %s', coalesce('plugin ' || s.plugin, 'no plugin'),
              coalesce('database ' || s.database, 'no database'),
              CASE WHEN s.active THEN 'used by pid ' || s.active_pid ELSE 'not in use' END,
              coalesce(s.restart_lsn::text, 'nowhere'))
  FROM pg_replication_slots s, (SELECT $1::text::jsonb AS j) d
 WHERE NOT (d.j->'slots' ? s.slot_name) AND NOT (s.slot_type = 'physical' AND d.j->'standby_slots' ? s.slot_name)
   AND NOT (s.slot_type = 'physical' AND s.temporary)
