-- Names mean what they mean, whatever is in other schemas; and findings are recorded when no standby confirms, too.
SET search_path = pg_catalog;
SET synchronous_commit = local
