-- What would keep the other questions from being answered in full.
SELECT 'blind', 'rights', format('%s is no member of %s: sessions and settings of others are hidden', current_user, g)
  FROM unnest(ARRAY['pg_read_all_stats', 'pg_read_all_settings']) g WHERE NOT pg_has_role(current_user, g, 'USAGE')
UNION ALL
SELECT 'blind', 'setting ' || s.name, format('"%s": short sessions and replication commands are not in the log', s.setting)
  FROM pg_settings s
 WHERE s.name IN ('log_connections', 'log_disconnections', 'log_replication_commands') AND s.setting <> 'on'
UNION ALL
SELECT 'blind', 'setting log_line_prefix', format('"%s" is not the one that the log is read by', s.setting)
  FROM pg_settings s WHERE s.name = 'log_line_prefix' AND s.setting <> '%m [%p] %q%u@%d from %h '
UNION ALL
SELECT 'blind', 'setting track_activities', 'off: what sessions do does not show'
  FROM pg_settings s WHERE s.name = 'track_activities' AND s.setting <> 'on'
