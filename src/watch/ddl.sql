-- DDL on the schema and on its guards within a day, as the superuser's event triggers noted it (src/schema/guard.sql): also what
-- was undone before its transaction ended. That of domicile's own schema files is marked.
SELECT 'guard-ddl', format('%s on %s by %s', l.tag, l.object, l.who),
       format('%s times, the last at %s UTC from %s', count(*), to_char(max(l.at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
              (array_agg(l.address ORDER BY l.id DESC))[1])
  FROM domicile_guard.ddl l WHERE l.migration IS NULL AND l.at > now() - interval '1 day'
 GROUP BY l.tag, l.object, l.who ORDER BY max(l.id) DESC LIMIT 100
