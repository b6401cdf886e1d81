-- Walsenders that belong to no declared standby: by what they do; where that does not show, by their application_name.
WITH d AS (SELECT $1::text::jsonb AS j),
sender AS (
    SELECT a.pid, a.usename, a.application_name AS name, a.client_addr, a.backend_start, r.state, s.slot_name,
           s.slot_type = 'logical' OR a.application_name = 'pg_recvlogical' AS logical,
           b.pid IS NOT NULL OR r.state = 'backup' OR a.application_name = 'pg_basebackup' AS backs_up,
           EXISTS (SELECT FROM jsonb_array_elements_text(d.j->'abroad') n WHERE a.client_addr <<= n::inet) AS abroad,
           EXISTS (SELECT FROM jsonb_array_elements_text(CASE WHEN d.j->'declared_roles' ? a.usename THEN d.j->'home'
                                                              ELSE d.j->'replication_home' END) n
                    WHERE a.client_addr <<= n::inet)
               AND d.j->'replication_roles' ? a.usename AS ours,
           d.j->'standbys' ? a.application_name AS standby
      FROM d, pg_stat_activity a LEFT JOIN pg_stat_replication r ON r.pid = a.pid
      LEFT JOIN pg_replication_slots s ON s.active_pid = a.pid
      LEFT JOIN pg_stat_progress_basebackup b ON b.pid = a.pid
     WHERE a.backend_type = 'walsender')
SELECT CASE WHEN abroad THEN 'replication-abroad'
            WHEN logical THEN 'pg-recvlogical'
            WHEN backs_up THEN 'pg-basebackup'
            WHEN name = 'pg_receivewal' THEN 'pg-receivewal'
            ELSE 'walsender' END,
       format('%s from %s as %s', coalesce(usename, '?'), coalesce(host(client_addr), 'a local socket'),
              coalesce(nullif(name, ''), '?')),
       format('pid %s since %s, %s, slot %s', pid, date_trunc('second', backend_start),
              coalesce(state, 'idle'), coalesce(slot_name, 'none'))
  FROM sender
 WHERE abroad OR NOT coalesce(ours AND (backs_up OR (standby AND NOT coalesce(logical, false))), false)
