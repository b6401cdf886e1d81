-- A monitor may not read its connection; the publisher is in PostgreSQL's log.
SELECT 'subscription', s.subname::text,
       format('%s, slot %s, publications %s', CASE WHEN s.subenabled THEN 'enabled' ELSE 'disabled' END,
              coalesce(s.subslotname, 'none'), array_to_string(s.subpublications, ', '))
  FROM pg_subscription s WHERE NOT ($1::text::jsonb->'subscriptions' ? s.subname)
