-- Who may connect: the lines of the file as it is now. A line that rejects is never a finding.
WITH d AS (SELECT $1::text::jsonb AS j),
rule AS (
    SELECT h.*, CASE WHEN h.address ~ '^[0-9.]+$|:' THEN h.address || '/' ||
               bit_count(substring(inet_send(h.netmask::inet) FROM 5)) ELSE h.address END AS network
      FROM pg_hba_file_rules h),
written AS (
    SELECT r.*, concat_ws(' ', r.type, array_to_string(r.database, ','), array_to_string(r.user_name, ','), r.network,
               r.auth_method, nullif(array_to_string(array_remove(r.options,
               CASE r.auth_method WHEN 'cert' THEN 'clientcert=verify-full' END), ' '), '')) AS text
      FROM rule r),
undeclared AS (
    SELECT w.*, EXISTS (SELECT FROM unnest(w.user_name) n
                         WHERE NOT (d.j->'declared_roles' ? n)
                           AND ('replication' = ANY (w.database) OR d.j->'replication_roles' ? n)) AS replicates
      FROM d, written w WHERE w.error IS NULL AND w.auth_method <> 'reject' AND NOT (d.j->'hba' ? w.text)),
judged AS (
    SELECT u.*, u.network IN ('all', '0.0.0.0/0', '::/0') AS open,
           u.type IN ('host', 'hostnossl', 'hostnogssenc')
               OR u.auth_method IN ('trust', 'password', 'md5', 'ident') AS plain,
           u.type = 'hostssl' AND u.auth_method = 'cert' AND u.options = '{clientcert=verify-full}'
               AND NOT EXISTS (SELECT FROM unnest(u.user_name) n
                                WHERE NOT (d.j->(CASE WHEN 'replication' = ANY (u.database) THEN 'replication_roles'
                                                      ELSE 'roles' END) ? n))
               AND EXISTS (SELECT FROM jsonb_array_elements_text(CASE WHEN u.replicates THEN d.j->'replication_home'
                                                                      ELSE d.j->'home' END) n
                            WHERE CASE WHEN u.network ~ '/' THEN u.network::inet <<= n::inet END) AS ours
      FROM d, undeclared u)
SELECT 'hba-open', text, 'line ' || line_number || ': allows any address' FROM judged WHERE open
UNION ALL
SELECT 'hba-plain', text, 'line ' || line_number || ': without TLS, or with a password or other secret that can be stolen'
  FROM judged WHERE plain
UNION ALL
SELECT 'hba-changed', text, 'line ' || line_number || ': neither written by domicile nor declared'
  FROM judged WHERE NOT coalesce(open, false) AND NOT plain AND NOT coalesce(ours, false)
UNION ALL
SELECT 'hba-changed', 'line ' || line_number, error FROM written WHERE error IS NOT NULL
UNION ALL
SELECT 'hba-changed', 'missing: ' || l, 'declared, but not in the file' FROM d, jsonb_array_elements_text(d.j->'hba') l
 WHERE NOT EXISTS (SELECT FROM written w WHERE w.text = l)
