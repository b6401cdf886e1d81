-- Customers and clients. Outcomes are as in the record path: values, not errors.

-- Outcomes: created, exists (also: under another version of the services, and under p_services_version now; the directory
-- says whether the customer may be onboarded again), region, epoch.
CREATE FUNCTION domicile.customer_add(
    p_region text, p_epoch bigint, p_id text, p_services_version integer,
    p_principal text, p_role text, p_rule text, p_request text,
    OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    outcome := domicile.refusal(p_region, p_epoch, NULL);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    INSERT INTO domicile.customer (id, region, services_version) VALUES (p_id, p_region, p_services_version)
        ON CONFLICT DO NOTHING;
    outcome := 'created';
    IF NOT FOUND THEN
        outcome := 'exists';
        UPDATE domicile.customer c SET services_version = p_services_version
         WHERE c.id = p_id AND c.services_version <> p_services_version;
        IF NOT FOUND THEN
            RETURN;
        END IF;
    END IF;
    PERFORM domicile.audit_write('onboard', outcome, p_region, p_epoch, p_id, NULL, NULL, p_services_version, NULL,
                                 p_principal, p_role, p_rule, p_request);
END $$;

-- p_customer is NULL for the vendor's staff. Outcomes: created, exists, region, epoch, customer.
CREATE FUNCTION domicile.client_add(
    p_region text, p_epoch bigint, p_id text, p_customer text, p_client_role text, p_secret_hash text,
    p_principal text, p_role text, p_rule text, p_request text,
    OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    outcome := domicile.refusal(p_region, p_epoch, p_customer);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    INSERT INTO domicile.client (id, customer, role, secret_hash)
    VALUES (p_id, p_customer, p_client_role, p_secret_hash) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        outcome := 'exists';
        RETURN;
    END IF;
    outcome := 'created';
    PERFORM domicile.audit_write('client-add', outcome, p_region, p_epoch, p_customer, NULL, p_id, NULL, NULL,
                                 p_principal, p_role, p_rule, p_request);
END $$;

CREATE FUNCTION domicile.client_get(p_id text)
RETURNS TABLE (customer text, role text, secret_hash text, disabled boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.customer, c.role, c.secret_hash, c.disabled_at IS NOT NULL FROM domicile.client c WHERE c.id = p_id;
END;

-- A customer's clients in the order of their ids, after p_after; NULL: the staff's.
CREATE FUNCTION domicile.client_page(p_customer text, p_after text, p_limit integer)
RETURNS TABLE (id text, role text, created_at timestamptz, disabled_at timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.id, c.role, c.created_at, c.disabled_at FROM domicile.client c
     WHERE c.customer IS NOT DISTINCT FROM p_customer AND c.id > p_after ORDER BY c.id LIMIT least(p_limit, 1000);
END;

-- A client is disabled and never deleted: the audit log names it. Outcomes: disabled, absent (also: already disabled),
-- region, epoch, customer.
CREATE FUNCTION domicile.client_disable(
    p_region text, p_epoch bigint, p_customer text, p_id text,
    p_principal text, p_role text, p_rule text, p_request text,
    OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    outcome := domicile.refusal(p_region, p_epoch, p_customer);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    UPDATE domicile.client c SET disabled_at = now()
     WHERE c.id = p_id AND c.customer IS NOT DISTINCT FROM p_customer AND c.disabled_at IS NULL;
    IF NOT FOUND THEN
        outcome := 'absent';
        RETURN;
    END IF;
    outcome := 'disabled';
    PERFORM domicile.audit_write('client-disable', outcome, p_region, p_epoch, p_customer, NULL, p_id, NULL, NULL,
                                 p_principal, p_role, p_rule, p_request);
END $$;

-- An event that writes nothing else: a refusal, an alarm. p_customer, p_class and p_key may be NULL. Outcomes: recorded,
-- region, epoch.
CREATE FUNCTION domicile.audit_add(
    p_region text, p_epoch bigint, p_customer text, p_class text, p_key text, p_action text, p_outcome text,
    p_principal text, p_role text, p_rule text, p_request text,
    OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    outcome := domicile.refusal(p_region, p_epoch, NULL);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM domicile.audit_write(p_action, p_outcome, p_region, p_epoch, p_customer, p_class, p_key, NULL, NULL,
                                 p_principal, p_role, p_rule, p_request);
    outcome := 'recorded';
END $$;

-- What this cell says it is; no row: it has no stamp yet.
CREATE FUNCTION domicile.cell_status()
RETURNS TABLE (region text, name text, epoch bigint, schema_version integer)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.region, s.name, s.epoch, (SELECT max(v.version) FROM domicile.schema_version v) FROM domicile.cell s;
END;
