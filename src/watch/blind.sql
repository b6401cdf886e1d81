-- What keeps the other questions from a full answer.
SELECT 'blind', 'rights', format('%s is not a member of %s: it cannot see sessions and settings of other roles', current_user, g)
  FROM unnest(ARRAY['pg_read_all_stats', 'pg_read_all_settings']) g WHERE NOT pg_has_role(current_user, g, 'USAGE')
UNION ALL
SELECT 'blind', 'setting ' || s.name, format('"%s": short sessions and replication commands are not in the log', s.setting)
  FROM pg_settings s
 WHERE s.name IN ('log_connections', 'log_disconnections', 'log_replication_commands') AND s.setting <> 'on'
UNION ALL
SELECT 'blind', 'setting ' || s.name,
       format('"%s": the log reader needs %s; a log of text is no evidence, since its lines can be forged', s.setting, w.value)
  FROM pg_settings s JOIN (VALUES ('log_destination', 'jsonlog'), ('logging_collector', 'on'), ('lc_messages', 'C')) w(name, value) ON w.name = s.name
 WHERE NOT CASE s.name WHEN 'log_destination' THEN regexp_split_to_array(s.setting, '\s*,\s*') @> ARRAY['jsonlog']
                       WHEN 'lc_messages' THEN s.setting IN ('C', 'POSIX') ELSE s.setting = w.value END
UNION ALL
SELECT 'blind', 'setting track_activities', 'off: the server does not show what sessions do'
  FROM pg_settings s WHERE s.name = 'track_activities' AND s.setting <> 'on'
