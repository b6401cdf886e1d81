-- Ends the replication connections from other regions, unless a later lease ($2, of $3) was seen here. False: it belongs to
-- a superuser, and a monitor may not end it.
SELECT format('%s from %s as %s', coalesce(a.usename, '?'), host(a.client_addr),
              coalesce(nullif(a.application_name, ''), '?')),
       CASE WHEN u.rolsuper AND NOT me.rolsuper THEN false ELSE pg_terminate_backend(a.pid) END
  FROM pg_stat_activity a LEFT JOIN pg_roles u ON u.oid = a.usesysid JOIN pg_roles me ON me.rolname = current_user
 WHERE a.backend_type = 'walsender'
   AND EXISTS (SELECT FROM jsonb_array_elements_text($1::text::jsonb->'abroad') n WHERE a.client_addr <<= n::inet)
   AND NOT EXISTS (SELECT FROM domicile.heartbeat_read() h
                    WHERE h.fence > $2::bigint OR h.fence = $2 AND h.writer <> $3::text)
