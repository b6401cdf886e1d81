-- Settings in force, and settings of a role or a database.
WITH d AS (SELECT $1::text::jsonb AS j),
setting AS (
    SELECT s.name, s.setting AS value, '' AS whose, s.source FROM pg_settings s
     WHERE s.source NOT IN ('client', 'session', 'database', 'user', 'database user')
    UNION ALL
    SELECT lower(split_part(c, '=', 1)), substr(c, strpos(c, '=') + 1),
           coalesce(' of role ' || nullif(r.setrole, 0)::regrole, '')
               || coalesce(' in database ' || (SELECT b.datname FROM pg_database b WHERE b.oid = r.setdatabase), ''),
           'ALTER ROLE or DATABASE'
      FROM pg_db_role_setting r, unnest(r.setconfig) c),
judged AS (
    SELECT CASE
        WHEN name IN ('archive_command', 'archive_library')
            THEN CASE WHEN value NOT IN ('', '(disabled)', coalesce(d.j->>'archive', '')) THEN 'archive' END
        WHEN name IN ('restore_command', 'archive_cleanup_command', 'recovery_end_command')
            THEN CASE WHEN value NOT IN ('', coalesce(d.j->>'restore', '')) THEN 'restore' END
        WHEN name IN ('shared_preload_libraries', 'session_preload_libraries', 'local_preload_libraries')
            THEN CASE WHEN EXISTS (SELECT FROM regexp_split_to_table(replace(value, '"', ''), '\s*,\s*') l
                                    WHERE l <> '' AND NOT (d.j->'libraries' ? l)) THEN 'preload' END
        WHEN name = 'session_replication_role'
            THEN CASE WHEN value <> 'origin' THEN 'replica-role' END
        WHEN name = 'ssl' THEN CASE WHEN value <> 'on' THEN 'tls-setting' END
        WHEN name = 'ssl_min_protocol_version'
            THEN CASE WHEN value NOT IN ('TLSv1.2', 'TLSv1.3') THEN 'tls-setting' END
        WHEN name = 'log_statement' THEN CASE WHEN value <> 'none' THEN 'log-leak' END
        WHEN name IN ('log_min_duration_statement', 'log_min_duration_sample', 'auto_explain.log_min_duration')
            THEN CASE WHEN value <> '-1' THEN 'log-leak' END
        WHEN name = 'log_transaction_sample_rate' THEN CASE WHEN value::float <> 0 THEN 'log-leak' END
        WHEN name IN ('log_parameter_max_length', 'log_parameter_max_length_on_error')
            THEN CASE WHEN value <> '0' THEN 'log-leak' END
        WHEN name = 'log_min_error_statement' THEN CASE WHEN value NOT IN ('panic', 'fatal') THEN 'log-leak' END
        WHEN name = 'log_error_verbosity' THEN CASE WHEN value <> 'terse' THEN 'log-leak' END
        WHEN name IN ('debug_print_parse', 'debug_print_rewritten', 'debug_print_plan')
            THEN CASE WHEN lower(value) NOT IN ('off', 'false', 'no', '0') THEN 'log-leak' END
        END AS channel, name, value, whose, source
      FROM d, setting)
SELECT channel, name || whose, format('"%s", from %s', value, source) FROM judged WHERE channel IS NOT NULL
