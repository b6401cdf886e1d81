-- Sessions: whose, from where, and how encrypted.
WITH d AS (SELECT $1::text::jsonb AS j),
session AS (
    SELECT a.pid, a.backend_type, format('%s from %s in %s', coalesce(a.usename, '?'),
               coalesce(host(a.client_addr), 'a local socket'), coalesce(a.datname, 'no database')) AS subject,
           a.application_name, a.backend_start, t.ssl, t.version, a.client_addr,
           d.j->'roles' ? a.usename AS known_role,
           a.client_addr IS NULL
               OR EXISTS (SELECT FROM jsonb_array_elements_text(d.j->'home') n WHERE a.client_addr <<= n::inet) AS home,
           EXISTS (SELECT FROM jsonb_array_elements_text(d.j->'abroad') n WHERE a.client_addr <<= n::inet) AS abroad
      FROM d, pg_stat_activity a LEFT JOIN pg_stat_ssl t ON t.pid = a.pid
     WHERE a.backend_type IN ('client backend', 'walsender') AND a.pid <> pg_backend_pid())
SELECT CASE WHEN abroad THEN 'client-abroad' ELSE 'client' END, subject,
       format('pid %s since %s, application_name "%s", %s', pid, date_trunc('second', backend_start), application_name,
              CASE WHEN abroad THEN 'its address is in another region'
                   WHEN NOT coalesce(known_role, false) THEN 'its role is not declared'
                   ELSE 'its address is not declared' END)
  FROM session WHERE backend_type = 'client backend' AND (abroad OR NOT home OR NOT coalesce(known_role, false))
UNION ALL
SELECT CASE WHEN ssl THEN 'client-tls-old' ELSE 'client-plain' END, subject,
       format('pid %s, %s', pid, CASE WHEN ssl THEN version ELSE 'no TLS' END)
  FROM session
 WHERE client_addr IS NOT NULL AND NOT (coalesce(ssl, false) AND version IN ('TLSv1.2', 'TLSv1.3'))
