-- Names are of pg_catalog, whatever other schemas have; and findings are recorded even if no standby confirms.
SET search_path = pg_catalog;
SET synchronous_commit = local
