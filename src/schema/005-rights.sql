-- The gateway's role may call these functions and do nothing else: no table, no view, no sequence, no temporary object.
-- What the functions above share (refusal, refuse, audit_write) is not for it.
REVOKE ALL ON ALL TABLES IN SCHEMA domicile FROM PUBLIC, domicile_gateway;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA domicile FROM PUBLIC, domicile_gateway;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA domicile FROM PUBLIC, domicile_gateway;
REVOKE ALL ON SCHEMA domicile FROM PUBLIC, domicile_gateway;
GRANT USAGE ON SCHEMA domicile TO domicile_gateway;
GRANT EXECUTE ON FUNCTION
    domicile.record_put, domicile.record_get, domicile.record_get_audited, domicile.record_delete,
    domicile.record_page, domicile.idempotency_purge,
    domicile.class_key_current, domicile.class_key_get, domicile.class_key_add, domicile.class_key_rotate,
    domicile.key_rotations_pending, domicile.record_page_to_reseal, domicile.record_reseal,
    domicile.key_rotation, domicile.class_key_retire,
    domicile.customer_add,
    domicile.client_add, domicile.client_get, domicile.client_page, domicile.client_disable,
    domicile.audit_add, domicile.cell_status
TO domicile_gateway;

-- The functions of the record path trust that their callers cannot put a function or an operator of their own in the
-- search path.
DO $$
BEGIN
    EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC, domicile_gateway', current_database());
END $$;
