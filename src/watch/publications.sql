-- What logical replication may publish, and publications that give more than they seem to.
SELECT 'publication', p.pubname::text, 'owner ' || pg_get_userbyid(p.pubowner)
  FROM pg_publication p WHERE NOT ($1::text::jsonb->'publications' ? p.pubname)
UNION ALL
SELECT 'publication-all-tables', p.pubname, 'every table of the database, future tables too'
  FROM pg_publication p WHERE p.puballtables
UNION ALL
SELECT 'publication-schema', p.pubname, 'every table of ' || string_agg(n.nspname, ', ' ORDER BY n.nspname)
  FROM pg_publication p JOIN pg_publication_namespace s ON s.pnpubid = p.oid
  JOIN pg_namespace n ON n.oid = s.pnnspid GROUP BY p.pubname
UNION ALL
SELECT 'publication-overlap', format('%I.%I', t.schemaname, t.tablename),
       'a subscriber gets the rows of all these: ' || string_agg(t.pubname, ', ' ORDER BY t.pubname)
  FROM pg_publication_tables t GROUP BY t.schemaname, t.tablename HAVING count(*) > 1
UNION ALL
SELECT 'publication-keys', t.pubname, string_agg(format('%I.%I', t.schemaname, t.tablename), ', ')
  FROM pg_publication_tables t
 WHERE t.schemaname = 'domicile' AND t.tablename IN ('class_key', 'client') GROUP BY t.pubname
