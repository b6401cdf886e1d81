-- Names mean what they mean, whatever is in other schemas.
SET search_path = pg_catalog
