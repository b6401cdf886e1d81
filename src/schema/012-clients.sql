-- Clients are bound to the region's root key: a row that no gateway has proven opens nothing, whoever wrote it. Here the
-- proofs are opaque; src/auth/client_proof.h says what they are over.

ALTER TABLE domicile.client
    ADD COLUMN version bigint NOT NULL DEFAULT 0,  -- of the set below, when the row was written; 0: before there were proofs
    ADD COLUMN proof bytea CHECK (octet_length(proof) = 32),
    ADD COLUMN created_by text COLLATE "C",        -- who added it, and in which role; NULL: not known
    ADD COLUMN created_by_role text COLLATE "C";

-- All clients of one customer, or of the staff (scope ''), as they are at a version. The directory has the highest version:
-- so a set that was put back, or a row that is missing, shows.
CREATE TABLE domicile.client_set (
    scope   text COLLATE "C" PRIMARY KEY CHECK (scope = '' OR scope ~ '^[a-z0-9][a-z0-9-]{1,62}$'),
    version bigint NOT NULL CHECK (version > 0),
    proof   bytea NOT NULL CHECK (octet_length(proof) = 32)
);

-- What does not hold now, as the gateways' sweep found it. Bounded by the sweep: 100 of a scope.
CREATE TABLE domicile.client_alarm (
    scope    text COLLATE "C" NOT NULL CHECK (scope = '' OR scope ~ '^[a-z0-9][a-z0-9-]{1,62}$'),
    subject  text COLLATE "C" NOT NULL CHECK (octet_length(subject) BETWEEN 1 AND 200),
    evidence text NOT NULL CHECK (octet_length(evidence) BETWEEN 1 AND 300),
    since    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, subject)
);

REVOKE ALL ON domicile.client_set, domicile.client_alarm FROM PUBLIC, domicile_gateway;

DROP FUNCTION domicile.client_add(text, bigint, text, text, text, text, text, text, text, text);
DROP FUNCTION domicile.client_disable(text, bigint, text, text, text, text, text, text);
DROP FUNCTION domicile.client_get(text);
DROP FUNCTION domicile.client_page(text, text, integer);

-- adopted: its scope has a set, so that a row without a proof is nobody's.
CREATE FUNCTION domicile.client_get(p_id text)
RETURNS TABLE (customer text, role text, secret_hash text, disabled boolean, version bigint, proof bytea, adopted boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.customer, c.role, c.secret_hash, c.disabled_at IS NOT NULL, c.version, c.proof,
           EXISTS (SELECT FROM domicile.client_set s WHERE s.scope = coalesce(c.customer, ''))
      FROM domicile.client c WHERE c.id = p_id;
END;

-- A customer's clients in the order of their ids, after p_after; NULL: the staff's.
CREATE FUNCTION domicile.client_page(p_customer text, p_after text, p_limit integer)
RETURNS TABLE (id text, role text, created_at timestamptz, disabled_at timestamptz, created_by text, created_by_role text,
               claimed boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.id, c.role, c.created_at, c.disabled_at, c.created_by, c.created_by_role, c.secret_hash NOT LIKE '$claim$%'
      FROM domicile.client c
     WHERE c.customer IS NOT DISTINCT FROM p_customer AND c.id > p_after ORDER BY c.id LIMIT least(p_limit, 1000);
END;

-- All that a scope's proof is over, and what is checked along with it (p_customer '': the staff). First a row "set": the
-- customer's state ("staff" for theirs; NULL: the customer is not here), version and proof (0, NULL: it has none yet).
-- Then "client" in the order of ids, "key" with the class and its current version, and "alarm" with what is on record.
CREATE FUNCTION domicile.client_set_get(p_region text, p_epoch bigint, p_customer text)
RETURNS TABLE (kind text, name text, role text, secret_hash text, version bigint, disabled boolean, proof bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c_clients CONSTANT integer := 5001; -- one more than a set may have
BEGIN
    PERFORM domicile.refuse(p_region, p_epoch, NULL);
    RETURN QUERY SELECT 'set', '', CASE p_customer WHEN '' THEN 'staff' ELSE
                            (SELECT c.state FROM domicile.customer c WHERE c.id = p_customer) END, NULL,
                        coalesce(max(s.version), 0), false, (array_agg(s.proof))[1]
                   FROM domicile.client_set s WHERE s.scope = p_customer;
    RETURN QUERY SELECT 'client', c.id, c.role, c.secret_hash, c.version, c.disabled_at IS NOT NULL, c.proof
                   FROM domicile.client c WHERE c.customer IS NOT DISTINCT FROM nullif(p_customer, '')
                  ORDER BY c.id LIMIT c_clients;
    RETURN QUERY SELECT 'key', k.class, NULL, NULL, max(k.version)::bigint, false, NULL::bytea
                   FROM domicile.class_key k WHERE k.customer = p_customer GROUP BY k.class ORDER BY k.class LIMIT 1000;
    RETURN QUERY SELECT 'alarm', a.subject, NULL, a.evidence, 0::bigint, false, NULL::bytea
                   FROM domicile.client_alarm a WHERE a.scope = p_customer ORDER BY a.subject LIMIT 1000;
END $$;

-- One client of a scope is added (p_action client-add, client-claimable) or changed (client-claim, client-rekey,
-- client-disable), and the set with it, from p_expected (0: there is none) to p_version. Outcomes: done; stale (the set has
-- another version: read it again); exists (the id); absent; region, epoch, customer.
CREATE FUNCTION domicile.client_write(
    p_region text, p_epoch bigint, p_customer text, p_id text, p_client_role text, p_secret_hash text, p_disabled boolean,
    p_proof bytea, p_expected bigint, p_version bigint, p_set_proof bytea, p_action text,
    p_principal text, p_role text, p_rule text, p_request text,
    OUT outcome text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_scope text := coalesce(p_customer, '');
BEGIN
    outcome := domicile.refusal(p_region, p_epoch, p_customer);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    IF p_action NOT IN ('client-add', 'client-claimable', 'client-claim', 'client-rekey', 'client-disable')
        OR p_version < 1 THEN
        RAISE EXCEPTION 'an argument is out of bounds' USING ERRCODE = 'DM004';
    END IF;
    INSERT INTO domicile.client_set (scope, version, proof) SELECT v_scope, p_version, p_set_proof WHERE p_expected = 0
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        UPDATE domicile.client_set s SET version = p_version, proof = p_set_proof
         WHERE s.scope = v_scope AND s.version = p_expected;
        IF NOT FOUND THEN
            outcome := 'stale';
            RETURN;
        END IF;
    END IF;
    outcome := 'done';
    IF p_action = 'client-add' OR p_action = 'client-claimable' THEN
        INSERT INTO domicile.client (id, customer, role, secret_hash, version, proof, created_by, created_by_role)
        VALUES (p_id, p_customer, p_client_role, p_secret_hash, p_version, p_proof, p_principal, p_role)
            ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'exists' USING ERRCODE = 'DM020'; -- and the set is as it was
        END IF;
    ELSE
        UPDATE domicile.client c
           SET secret_hash = p_secret_hash, version = p_version, proof = p_proof,
               disabled_at = CASE WHEN p_disabled THEN coalesce(c.disabled_at, now()) END
         WHERE c.id = p_id AND c.customer IS NOT DISTINCT FROM p_customer;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'absent' USING ERRCODE = 'DM021';
        END IF;
    END IF;
    PERFORM domicile.audit_write(p_action, outcome, p_region, p_epoch, p_customer, NULL, p_id, NULL, NULL,
                                 p_principal, p_role, p_rule, p_request);
END $$;

-- The same, for the gateway: it makes no client of the staff. It may replace the verifier of one, under the same secret.
CREATE FUNCTION domicile.client_put(
    p_region text, p_epoch bigint, p_customer text, p_id text, p_client_role text, p_secret_hash text, p_disabled boolean,
    p_proof bytea, p_expected bigint, p_version bigint, p_set_proof bytea, p_action text,
    p_principal text, p_role text, p_rule text, p_request text,
    OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(p_customer, '') = '' AND p_action <> 'client-rekey' THEN
        outcome := 'customer';
        RETURN;
    END IF;
    outcome := domicile.client_write(p_region, p_epoch, p_customer, p_id, p_client_role, p_secret_hash, p_disabled, p_proof,
                                     p_expected, p_version, p_set_proof, p_action, p_principal, p_role, p_rule, p_request);
EXCEPTION
    WHEN SQLSTATE 'DM020' THEN outcome := 'exists';
    WHEN SQLSTATE 'DM021' THEN outcome := 'absent';
END $$;

-- The same, for whoever administers the cell and has the root key: the staff's.
CREATE FUNCTION domicile.staff_client_put(
    p_region text, p_epoch bigint, p_id text, p_client_role text, p_secret_hash text, p_disabled boolean,
    p_proof bytea, p_expected bigint, p_version bigint, p_set_proof bytea, p_action text,
    p_principal text, p_role text, p_rule text, p_request text,
    OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    outcome := domicile.client_write(p_region, p_epoch, NULL, p_id, p_client_role, p_secret_hash, p_disabled, p_proof,
                                     p_expected, p_version, p_set_proof, p_action, p_principal, p_role, p_rule, p_request);
EXCEPTION
    WHEN SQLSTATE 'DM020' THEN outcome := 'exists';
    WHEN SQLSTATE 'DM021' THEN outcome := 'absent';
END $$;

-- A scope that has no set gets one: of a customer that is new here, or of rows from before there were proofs. p_rows is
-- a JSON array of {"id", "proof" (hexadecimal)} of all its clients; they get p_version. Outcomes: done; stale (it has a set, or other clients); region,
-- epoch.
CREATE FUNCTION domicile.client_set_adopt(
    p_region text, p_epoch bigint, p_customer text, p_rows text, p_version bigint, p_set_proof bytea,
    p_principal text, p_role text, p_rule text, p_request text,
    OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    outcome := domicile.refusal(p_region, p_epoch, NULL);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    outcome := 'stale';
    INSERT INTO domicile.client_set (scope, version, proof) VALUES (p_customer, p_version, p_set_proof)
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE domicile.client c SET version = p_version, proof = decode(n.proof, 'hex')
      FROM json_to_recordset(p_rows::json) n (id text, proof text)
     WHERE c.id = n.id AND c.customer IS NOT DISTINCT FROM nullif(p_customer, '');
    PERFORM domicile.audit_write('client-adopt', 'done', p_region, p_epoch, nullif(p_customer, ''), NULL, NULL, p_version,
                                 json_array_length(p_rows::json), p_principal, p_role, p_rule, p_request);
    outcome := 'done';
END $$;

-- What the sweep found of a scope, a JSON array of {"subject", "evidence"}, in place of what was on record; each begin and end is an audit row. Outcomes: done;
-- region, epoch.
CREATE FUNCTION domicile.client_alarms_put(
    p_region text, p_epoch bigint, p_customer text, p_found text, OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_subject text;
BEGIN
    outcome := domicile.refusal(p_region, p_epoch, NULL);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    IF json_array_length(p_found::json) > 100 THEN
        RAISE EXCEPTION 'an argument is out of bounds' USING ERRCODE = 'DM004';
    END IF;
    FOR v_subject IN DELETE FROM domicile.client_alarm a
                      WHERE a.scope = p_customer
                        AND a.subject NOT IN (SELECT n.subject FROM json_to_recordset(p_found::json) n (subject text))
                     RETURNING a.subject LOOP
        PERFORM domicile.audit_write('client-alarm', 'ended', p_region, p_epoch, nullif(p_customer, ''), NULL, v_subject,
                                     NULL, NULL, 'domicile', 'system', 'client-proofs', 'sweep');
    END LOOP;
    FOR v_subject IN INSERT INTO domicile.client_alarm (scope, subject, evidence)
                     SELECT p_customer, n.subject, n.evidence FROM json_to_recordset(p_found::json) n (subject text, evidence text)
                         ON CONFLICT DO NOTHING RETURNING subject LOOP
        PERFORM domicile.audit_write('client-alarm', 'began', p_region, p_epoch, nullif(p_customer, ''), NULL, v_subject,
                                     NULL, NULL, 'domicile', 'system', 'client-proofs', 'sweep');
    END LOOP;
    outcome := 'done';
END $$;

-- For the watch.
CREATE FUNCTION domicile.client_alarms()
RETURNS TABLE (scope text, subject text, evidence text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.scope, a.subject, a.evidence FROM domicile.client_alarm a ORDER BY a.since, a.scope, a.subject LIMIT 256;
END;

REVOKE ALL ON FUNCTION domicile.client_get, domicile.client_page, domicile.client_set_get, domicile.client_write,
    domicile.client_put, domicile.staff_client_put, domicile.client_set_adopt, domicile.client_alarms_put,
    domicile.client_alarms FROM PUBLIC, domicile_gateway;
GRANT EXECUTE ON FUNCTION domicile.client_get, domicile.client_page, domicile.client_set_get, domicile.client_put,
    domicile.client_set_adopt, domicile.client_alarms_put TO domicile_gateway;

-- For domicile_monitor, which may be made after this file was applied: then its maker calls this again.
CREATE FUNCTION domicile.client_watch_grant() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'domicile_monitor') THEN
        GRANT USAGE ON SCHEMA domicile TO domicile_monitor;
        GRANT EXECUTE ON FUNCTION domicile.client_alarms TO domicile_monitor;
    END IF;
END $$;
REVOKE ALL ON FUNCTION domicile.client_watch_grant FROM PUBLIC, domicile_gateway;
SELECT domicile.client_watch_grant();
