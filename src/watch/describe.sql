-- Describes the schema: in a new cell, the shipped schema; later, what has changed in it shows.
WITH relation AS (
    SELECT c.oid, n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname IN ('domicile', 'domicile_guard') AND c.relkind IN ('r', 'p'))
SELECT jsonb_pretty(jsonb_build_object(
    'tables', (SELECT jsonb_object_agg(r.name, (SELECT jsonb_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
                                                  WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped))
                 FROM relation r),
    'triggers', (SELECT jsonb_object_agg(r.name || ' ' || t.tgname,
                                         encode(sha256(convert_to(pg_get_triggerdef(t.oid), 'UTF8')), 'hex'))
                   FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal),
    'constraints', (SELECT jsonb_object_agg(r.name || ' ' || k.conname,
                                            encode(sha256(convert_to(pg_get_constraintdef(k.oid), 'UTF8')), 'hex'))
                      FROM relation r JOIN pg_constraint k ON k.conrelid = r.oid),
    'functions', (SELECT jsonb_object_agg(p.oid::regprocedure::text,
                                          encode(sha256(convert_to(pg_get_functiondef(p.oid), 'UTF8')), 'hex'))
                    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                   WHERE n.nspname IN ('domicile', 'domicile_guard'))))
