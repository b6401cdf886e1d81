-- What keeps the other questions from a full answer.
SELECT 'blind', 'rights', format('%s is not a member of %s: it cannot see sessions and settings of other roles', current_user, g)
  FROM unnest(ARRAY['pg_read_all_stats', 'pg_read_all_settings']) g WHERE NOT pg_has_role(current_user, g, 'USAGE')
UNION ALL
SELECT 'blind', 'setting ' || s.name, format('"%s": short sessions and replication commands are not in the log', s.setting)
  FROM pg_settings s
 WHERE s.name IN ('log_connections', 'log_disconnections', 'log_replication_commands') AND s.setting <> 'on'
UNION ALL
SELECT 'blind', 'setting log_line_prefix', format('"%s" is not the prefix that the log reader expects', s.setting)
  FROM pg_settings s WHERE s.name = 'log_line_prefix' AND s.setting <> '%m [%p] %q%u@%d from %h '
UNION ALL
SELECT 'blind', 'setting track_activities', 'off: the server does not show what sessions do'
  FROM pg_settings s WHERE s.name = 'track_activities' AND s.setting <> 'on'
