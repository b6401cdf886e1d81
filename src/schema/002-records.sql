-- The record path. One call is one statement; what it writes and its audit row are in the same transaction.
--
-- What can happen in daily life comes back as `outcome` and raises nothing, since an error would undo the other calls of
-- the same batch as well:
--   region, epoch    this cell is not the one that the caller takes it for; nothing was done
--   customer         the customer is not here, or not active
--   bounds           an argument is out of bounds; the gateway should have refused it
-- Functions that return rows raise these as DM001, DM002, DM003 and DM004 instead.
--
-- The functions of this file have no SET search_path: it costs 11 microseconds a call, half of a read. Every table is
-- named with its schema, and the callers' role can create nothing that another search_path could find.

-- Outcomes besides: created, replaced (stored = p_revision); replayed-created, replayed-replaced (the same request was
-- done before under this Idempotency-Key, as revision `stored`); idempotency (the Idempotency-Key was another request's);
-- precondition (stored: the revision that is there, NULL when none is); revision (p_revision is not above `stored`: move
-- the clock past it and ask again); key-version (writes use version `stored` by now, 0: none: seal anew and ask again).
-- p_payload is at most a body of 64 MiB with 512 bytes for its content type and seal.
-- p_if_revision: 0 none, -1 the record must exist, else its revision must be this. p_if_absent: it must not exist.
CREATE FUNCTION domicile.record_put(
    p_region text, p_epoch bigint, p_customer text, p_class text, p_key text,
    p_revision bigint, p_key_version integer, p_payload bytea, p_if_revision bigint, p_if_absent boolean,
    p_principal text, p_role text, p_rule text, p_request text, p_idem_key text, p_idem_digest bytea,
    OUT outcome text, OUT stored bigint)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_region text;
    v_epoch bigint;
    v_state text;
    v_key_version integer;
    v_created boolean;
    v_digest bytea;
BEGIN
    IF octet_length(p_class) NOT BETWEEN 2 AND 63 OR octet_length(p_key) NOT BETWEEN 1 AND 512
        OR octet_length(p_payload) > 67109376 OR p_revision <= 0 OR octet_length(p_principal) NOT BETWEEN 1 AND 63
        OR octet_length(p_role) > 63 OR octet_length(p_rule) > 127 OR octet_length(p_request) > 63 THEN
        outcome := 'bounds';
        RETURN;
    END IF;
    -- Locks class_key and cell until the end of the transaction: class_key_rotate and whoever moves the epoch wait for
    -- that, so that no write under the old key version or epoch can commit after them.
    SELECT s.region, s.epoch, c.state,
           coalesce((SELECT k.version FROM domicile.class_key k WHERE k.customer = p_customer AND k.class = p_class
                      ORDER BY k.version DESC LIMIT 1), 0)
      INTO v_region, v_epoch, v_state, v_key_version
      FROM domicile.cell s LEFT JOIN domicile.customer c ON c.id = p_customer;
    IF v_region IS DISTINCT FROM p_region THEN
        outcome := 'region';
        RETURN;
    ELSIF v_epoch <> p_epoch THEN
        outcome := 'epoch';
        stored := v_epoch;
        RETURN;
    ELSIF v_state IS DISTINCT FROM 'active' THEN
        outcome := 'customer';
        RETURN;
    END IF;

    IF p_idem_key IS NOT NULL THEN
        INSERT INTO domicile.idempotency (customer, idem_key, digest, revision, created)
        VALUES (p_customer, p_idem_key, p_idem_digest, p_revision, false) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            -- It may have been purged since, and then nothing was done: ask again.
            SELECT i.digest, i.revision, i.created INTO v_digest, stored, v_created
              FROM domicile.idempotency i WHERE i.customer = p_customer AND i.idem_key = p_idem_key FOR SHARE;
            IF NOT FOUND THEN
                outcome := 'revision';
                stored := 0;
                RETURN;
            END IF;
            outcome := CASE WHEN v_digest <> p_idem_digest THEN 'idempotency'
                            WHEN v_created THEN 'replayed-created' ELSE 'replayed-replaced' END;
            RETURN;
        END IF;
    END IF;

    IF v_key_version <> p_key_version THEN
        outcome := 'key-version';
        stored := v_key_version;
    ELSIF p_if_revision <> 0 THEN
        UPDATE domicile.record r
           SET revision = p_revision, key_version = p_key_version, payload = p_payload, written_at = now()
         WHERE r.customer = p_customer AND r.class = p_class AND r.key = p_key AND r.revision < p_revision
           AND (p_if_revision = -1 OR r.revision = p_if_revision)
        RETURNING false INTO v_created;
    ELSE
        INSERT INTO domicile.record AS r (customer, class, key, revision, key_version, payload)
        VALUES (p_customer, p_class, p_key, p_revision, p_key_version, p_payload)
            ON CONFLICT (customer, class, key) DO UPDATE
           SET revision = p_revision, key_version = p_key_version, payload = p_payload, written_at = now()
         WHERE r.revision < p_revision AND NOT p_if_absent
        RETURNING r.xmax = 0 INTO v_created; -- a row that was there before has been locked by this transaction
    END IF;

    IF v_created IS NULL THEN
        IF outcome IS NULL THEN
            SELECT r.revision INTO stored FROM domicile.record r
             WHERE r.customer = p_customer AND r.class = p_class AND r.key = p_key;
            outcome := CASE WHEN stored IS NULL OR p_if_absent OR p_if_revision NOT IN (0, -1, stored)
                            THEN 'precondition' ELSE 'revision' END;
        END IF;
        IF p_idem_key IS NOT NULL THEN
            DELETE FROM domicile.idempotency i WHERE i.customer = p_customer AND i.idem_key = p_idem_key;
        END IF;
        RETURN;
    END IF;
    IF v_created AND p_idem_key IS NOT NULL THEN
        UPDATE domicile.idempotency i SET created = true WHERE i.customer = p_customer AND i.idem_key = p_idem_key;
    END IF;

    outcome := CASE WHEN v_created THEN 'created' ELSE 'replaced' END;
    stored := p_revision;
    INSERT INTO domicile.audit (epoch, revision, action, outcome, region, customer, class, key,
                                principal, role, rule, request)
    VALUES (p_epoch, p_revision, 'store', outcome, p_region, p_customer, p_class, p_key,
            p_principal, p_role, p_rule, p_request);
END $$;

-- Outcomes besides: found, absent.
CREATE FUNCTION domicile.record_get(
    p_region text, p_epoch bigint, p_customer text, p_class text, p_key text,
    OUT outcome text, OUT revision bigint, OUT key_version integer, OUT payload bytea)
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    SELECT r.revision, r.key_version, r.payload INTO revision, key_version, payload
      FROM domicile.cell s, domicile.record r
     WHERE s.region = p_region AND s.epoch = p_epoch
       AND r.customer = p_customer AND r.class = p_class AND r.key = p_key;
    IF FOUND THEN
        outcome := 'found';
        RETURN;
    END IF;
    SELECT CASE WHEN s.region <> p_region THEN 'region' WHEN s.epoch <> p_epoch THEN 'epoch'
                WHEN c.id IS NULL THEN 'customer' ELSE 'absent' END INTO outcome
      FROM domicile.cell s LEFT JOIN domicile.customer c ON c.id = p_customer;
    IF NOT FOUND THEN
        outcome := 'region';
    END IF;
END $$;

-- The same for classes whose reads are audited: there is no answer without the row. It is written for `absent` as well.
CREATE FUNCTION domicile.record_get_audited(
    p_region text, p_epoch bigint, p_customer text, p_class text, p_key text,
    p_principal text, p_role text, p_rule text, p_request text,
    OUT outcome text, OUT revision bigint, OUT key_version integer, OUT payload bytea)
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF octet_length(p_class) NOT BETWEEN 2 AND 63 OR octet_length(p_key) NOT BETWEEN 1 AND 512
        OR octet_length(p_principal) NOT BETWEEN 1 AND 63
        OR octet_length(p_role) > 63 OR octet_length(p_rule) > 127 OR octet_length(p_request) > 63 THEN
        outcome := 'bounds';
        RETURN;
    END IF;
    SELECT r.revision, r.key_version, r.payload INTO revision, key_version, payload
      FROM domicile.cell s, domicile.record r
     WHERE s.region = p_region AND s.epoch = p_epoch
       AND r.customer = p_customer AND r.class = p_class AND r.key = p_key;
    IF FOUND THEN
        outcome := 'found';
    ELSE
        SELECT CASE WHEN s.region <> p_region THEN 'region' WHEN s.epoch <> p_epoch THEN 'epoch'
                    WHEN c.id IS NULL THEN 'customer' ELSE 'absent' END INTO outcome
          FROM domicile.cell s LEFT JOIN domicile.customer c ON c.id = p_customer;
        IF outcome IS DISTINCT FROM 'absent' THEN
            outcome := coalesce(outcome, 'region');
            RETURN;
        END IF;
    END IF;
    INSERT INTO domicile.audit (epoch, revision, action, outcome, region, customer, class, key,
                                principal, role, rule, request)
    VALUES (p_epoch, revision, 'read', outcome, p_region, p_customer, p_class, p_key,
            p_principal, p_role, p_rule, p_request);
END $$;

-- Outcomes besides: deleted (stored: the revision that was there), absent, precondition. p_if_revision as in record_put.
CREATE FUNCTION domicile.record_delete(
    p_region text, p_epoch bigint, p_customer text, p_class text, p_key text, p_if_revision bigint,
    p_principal text, p_role text, p_rule text, p_request text,
    OUT outcome text, OUT stored bigint)
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    outcome := domicile.refusal(p_region, p_epoch, p_customer);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    DELETE FROM domicile.record r
     WHERE r.customer = p_customer AND r.class = p_class AND r.key = p_key AND p_if_revision IN (0, -1, r.revision)
    RETURNING r.revision INTO stored;
    IF stored IS NULL THEN
        SELECT r.revision INTO stored FROM domicile.record r
         WHERE r.customer = p_customer AND r.class = p_class AND r.key = p_key;
        outcome := CASE WHEN stored IS NULL AND p_if_revision = 0 THEN 'absent' ELSE 'precondition' END;
        RETURN;
    END IF;
    outcome := 'deleted';
    PERFORM domicile.audit_write('delete', outcome, p_region, p_epoch, p_customer, p_class, p_key, stored, NULL,
                                 p_principal, p_role, p_rule, p_request);
END $$;

-- A page of a class in the order of its keys: those that begin with p_prefix, after p_after ('' for the first page), at
-- most p_limit (1 to 1000), and no more once the payloads have reached p_max_bytes. p_action is 'list' or 'export' for
-- classes whose reads are audited, and NULL for others. A page that is empty is the end.
CREATE FUNCTION domicile.record_page(
    p_region text, p_epoch bigint, p_customer text, p_class text, p_prefix text, p_after text,
    p_limit integer, p_max_bytes bigint, p_with_payload boolean,
    p_action text, p_principal text, p_role text, p_rule text, p_request text)
RETURNS TABLE (key text, revision bigint, key_version integer, written_at timestamptz, payload_bytes integer,
               payload bytea)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_bytes bigint := 0;
    v_rows integer := 0;
BEGIN
    PERFORM domicile.refuse(p_region, p_epoch, p_customer);
    IF p_limit NOT BETWEEN 1 AND 1000 OR octet_length(p_prefix) > 512 OR octet_length(p_after) > 512
        OR coalesce(p_action, 'list') NOT IN ('list', 'export') THEN
        RAISE EXCEPTION 'an argument is out of bounds' USING ERRCODE = 'DM004';
    END IF;
    FOR key, revision, key_version, written_at, payload_bytes, payload IN
        SELECT r.key, r.revision, r.key_version, r.written_at, octet_length(r.payload),
               CASE WHEN p_with_payload THEN r.payload END
          FROM domicile.record r
         WHERE r.customer = p_customer AND r.class = p_class AND r.key >= p_prefix AND r.key > p_after
         ORDER BY r.key LIMIT p_limit
    LOOP
        EXIT WHEN NOT starts_with(key, p_prefix); -- in this order those with the prefix stand together
        RETURN NEXT;
        v_rows := v_rows + 1;
        v_bytes := v_bytes + payload_bytes;
        EXIT WHEN p_with_payload AND v_bytes >= p_max_bytes;
    END LOOP;
    IF p_action IS NOT NULL THEN
        PERFORM domicile.audit_write(p_action, 'found', p_region, p_epoch, p_customer, p_class, p_prefix, NULL, v_rows,
                                     p_principal, p_role, p_rule, p_request);
    END IF;
END $$;

-- Forgets Idempotency-Keys older than p_hours, at most p_limit at a time; how many it was.
CREATE FUNCTION domicile.idempotency_purge(p_hours integer, p_limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM domicile.idempotency i
         WHERE (i.customer, i.idem_key) IN (
               SELECT o.customer, o.idem_key FROM domicile.idempotency o
                WHERE o.at < now() - make_interval(hours => p_hours) ORDER BY o.at LIMIT p_limit FOR UPDATE SKIP LOCKED)
        RETURNING 1)
    SELECT count(*) FROM gone;
END;
