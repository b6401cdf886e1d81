-- What the gateway's role could do beyond its task. What only a superuser can take away (large objects, messages in the WAL,
-- the end of other sessions, advisory locks), provisioning takes away: src/cell/roles.c.

-- A write that does not wait for the standby is lost in a failover. A session may set synchronous_commit itself; one of a
-- gateway that did so, writes nothing. (The monitor writes while a standby is away, and sets it to local.) It cannot hold
-- whoever sets it after the write, in the same transaction, with a gateway's certificate.
CREATE FUNCTION domicile.gateway_waits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF session_user = 'domicile_gateway' AND pg_catalog.current_setting('synchronous_commit') IN ('off', 'local') THEN
        RAISE EXCEPTION 'this session does not wait for its commits'
            USING ERRCODE = 'DM011', HINT = 'Reset synchronous_commit.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER gateway_waits BEFORE INSERT ON domicile.audit
    FOR EACH STATEMENT EXECUTE FUNCTION domicile.gateway_waits();
REVOKE ALL ON FUNCTION domicile.gateway_waits FROM PUBLIC, domicile_gateway;

-- Replaces 009's. Only what nothing else records: rows of writes and reads are written by the functions that do them, so none
-- can be added for what was not done.
CREATE OR REPLACE FUNCTION domicile.audit_add(
    p_region text, p_epoch bigint, p_customer text, p_class text, p_key text, p_rows integer, p_action text,
    p_outcome text, p_principal text, p_role text, p_rule text, p_home text, p_request text, p_request_to text,
    OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    outcome := domicile.refusal(p_region, p_epoch, NULL);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    IF octet_length(p_customer) > 63 OR octet_length(p_class) > 63 OR octet_length(p_key) > 512
        OR p_action IS NULL OR p_action NOT IN ('refusal', 'token', 'alarm') OR octet_length(p_outcome) NOT BETWEEN 1 AND 63
        OR octet_length(p_principal) NOT BETWEEN 1 AND 63 OR octet_length(p_role) > 63 OR octet_length(p_rule) > 127
        OR octet_length(p_home) > 63 OR octet_length(p_request) > 63 OR octet_length(p_request_to) > 63 THEN
        outcome := 'bounds';
        RETURN;
    END IF;
    INSERT INTO domicile.audit (epoch, rows, action, outcome, region, customer, class, key, principal, role, rule, home,
                                request, request_to)
    VALUES (p_epoch, p_rows, p_action, p_outcome, p_region, p_customer, p_class, p_key, p_principal, p_role, p_rule, p_home,
            p_request, p_request_to);
    outcome := 'recorded';
END $$;
