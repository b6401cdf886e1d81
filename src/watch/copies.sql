-- COPY that is running. One that ends before the next round does not show.
SELECT CASE p.type WHEN 'PROGRAM' THEN 'copy-program' ELSE 'copy-file' END,
       format('%s from %s', coalesce(a.usename, '?'), coalesce(host(a.client_addr), 'a local socket')),
       format('pid %s, %s, %s rows so far', p.pid, p.command, p.tuples_processed)
  FROM pg_stat_progress_copy p JOIN pg_stat_activity a ON a.pid = p.pid
 WHERE p.type = 'PROGRAM' OR (p.type = 'FILE' AND p.command = 'COPY TO')
