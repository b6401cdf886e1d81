-- What the gateways found in the tables of clients and keys: they have the root key, and the monitor does not.
SELECT 'client-proof', format('%s of %s', a.subject, CASE a.scope WHEN '' THEN 'the staff' ELSE a.scope END), a.evidence
  FROM domicile.client_alarms() a
