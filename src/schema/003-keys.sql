-- Class keys, their rotation, and sealing records anew behind it. The wrapped key is opaque here.

-- The version that writes use; no row: the class has none yet.
CREATE FUNCTION domicile.class_key_current(p_region text, p_epoch bigint, p_customer text, p_class text)
RETURNS TABLE (version integer, wrapped bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM domicile.refuse(p_region, p_epoch, p_customer);
    RETURN QUERY SELECT k.version, k.wrapped FROM domicile.class_key k
                  WHERE k.customer = p_customer AND k.class = p_class ORDER BY k.version DESC LIMIT 1;
END $$;

CREATE FUNCTION domicile.class_key_get(
    p_region text, p_epoch bigint, p_customer text, p_class text, p_version integer)
RETURNS TABLE (wrapped bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM domicile.refuse(p_region, p_epoch, p_customer);
    RETURN QUERY SELECT k.wrapped FROM domicile.class_key k
                  WHERE k.customer = p_customer AND k.class = p_class AND k.version = p_version;
END $$;

-- The first key of a class. Outcomes: added; exists (someone was faster: version and wrapped are the current ones).
-- records (the class has records without a key: policy left it unsealed, and seals it now). Besides: region, epoch,
-- customer.
CREATE FUNCTION domicile.class_key_add(
    p_region text, p_epoch bigint, p_customer text, p_class text, p_wrapped bytea,
    p_principal text, p_role text, p_rule text, p_request text,
    OUT outcome text, OUT version integer, OUT wrapped bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    outcome := domicile.refusal(p_region, p_epoch, p_customer);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    -- Where there is no key, no record is sealed: one that is there tells enough.
    IF NOT EXISTS (SELECT FROM domicile.class_key o WHERE o.customer = p_customer AND o.class = p_class)
        AND EXISTS (SELECT FROM domicile.record r WHERE r.customer = p_customer AND r.class = p_class) THEN
        outcome := 'records';
        RETURN;
    END IF;
    INSERT INTO domicile.class_key AS k (customer, class, version, wrapped)
    SELECT p_customer, p_class, 1, p_wrapped
     WHERE NOT EXISTS (SELECT FROM domicile.class_key o WHERE o.customer = p_customer AND o.class = p_class)
        ON CONFLICT DO NOTHING RETURNING k.version, k.wrapped INTO version, wrapped;
    IF version IS NULL THEN
        outcome := 'exists';
        SELECT k.version, k.wrapped INTO version, wrapped FROM domicile.class_key k
         WHERE k.customer = p_customer AND k.class = p_class ORDER BY k.version DESC LIMIT 1;
        RETURN;
    END IF;
    outcome := 'added';
    PERFORM domicile.audit_write('key-add', outcome, p_region, p_epoch, p_customer, p_class, NULL, version, NULL,
                                 p_principal, p_role, p_rule, p_request);
END $$;

-- Writes use p_version + 1 from now on. Outcomes: rotated; version (the current version is not p_version but `version`,
-- 0: none). Besides: region, epoch, customer. The lock waits for every write that has seen the old version: once this has
-- committed, no record can appear under an old version. Call it alone in its transaction. Whoever writes waits behind the
-- lock, so it is not waited for long: 55P03, and nothing was done, while a backup or another long transaction reads keys.
CREATE FUNCTION domicile.class_key_rotate(
    p_region text, p_epoch bigint, p_customer text, p_class text, p_version integer, p_wrapped bytea,
    p_principal text, p_role text, p_rule text, p_request text,
    OUT outcome text, OUT version integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
BEGIN
    LOCK TABLE domicile.class_key IN ACCESS EXCLUSIVE MODE;
    outcome := domicile.refusal(p_region, p_epoch, p_customer);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT coalesce(max(k.version), 0) INTO version FROM domicile.class_key k
     WHERE k.customer = p_customer AND k.class = p_class;
    IF version <> p_version OR version = 0 THEN
        outcome := 'version';
        RETURN;
    END IF;
    version := p_version + 1;
    INSERT INTO domicile.class_key (customer, class, version, wrapped)
    VALUES (p_customer, p_class, version, p_wrapped);
    outcome := 'rotated';
    PERFORM domicile.audit_write('key-rotate', outcome, p_region, p_epoch, p_customer, p_class, NULL, version, NULL,
                                 p_principal, p_role, p_rule, p_request);
END $$;

-- Classes with more than one version: their records are to be sealed anew. For going on after a restart.
CREATE FUNCTION domicile.key_rotations_pending()
RETURNS TABLE (customer text, class text, current_version integer, oldest_version integer)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT k.customer, k.class, max(k.version), min(k.version) FROM domicile.class_key k
     GROUP BY k.customer, k.class HAVING count(*) > 1;
END;

-- The records of a class that are sealed under a version below p_below, after p_after ('' first): a page of them. It ends
-- after p_limit records, p_max_bytes of payload, or a thousand records that were looked at; then a row without payload says
-- how far that was. Bounded work a call, however few are left; an empty page is the end.
CREATE FUNCTION domicile.record_page_to_reseal(
    p_region text, p_epoch bigint, p_customer text, p_class text, p_below integer, p_after text,
    p_limit integer, p_max_bytes bigint)
RETURNS TABLE (key text, revision bigint, key_version integer, payload bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rows integer := 0;
    v_bytes bigint := 0;
    v_old boolean;
BEGIN
    PERFORM domicile.refuse(p_region, p_epoch, p_customer);
    IF p_limit NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'an argument is out of bounds' USING ERRCODE = 'DM004';
    END IF;
    FOR key, revision, key_version, payload, v_old IN
        SELECT r.key, r.revision, r.key_version, CASE WHEN r.key_version < p_below THEN r.payload END,
               r.key_version < p_below
          FROM domicile.record r
         WHERE r.customer = p_customer AND r.class = p_class AND r.key > p_after ORDER BY r.key LIMIT 1000
    LOOP
        CONTINUE WHEN NOT v_old;
        RETURN NEXT;
        v_rows := v_rows + 1;
        v_bytes := v_bytes + octet_length(payload);
        EXIT WHEN v_rows = p_limit OR v_bytes >= p_max_bytes;
    END LOOP;
    IF NOT v_old THEN
        RETURN NEXT;
    END IF;
END $$;

-- The same record under a newer key: the revision stays, and so does the customer's ETag. Outcomes: resealed; changed
-- (somebody wrote or deleted it meanwhile: nothing to do); key-version (p_key_version is not the current one). Besides:
-- region, epoch, customer.
CREATE FUNCTION domicile.record_reseal(
    p_region text, p_epoch bigint, p_customer text, p_class text, p_key text, p_revision bigint,
    p_old_key_version integer, p_key_version integer, p_payload bytea,
    p_principal text, p_role text, p_rule text, p_request text,
    OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    outcome := domicile.refusal(p_region, p_epoch, p_customer);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    IF p_key_version IS DISTINCT FROM (SELECT max(k.version) FROM domicile.class_key k
                                        WHERE k.customer = p_customer AND k.class = p_class) THEN
        outcome := 'key-version';
        RETURN;
    END IF;
    UPDATE domicile.record r SET key_version = p_key_version, payload = p_payload
     WHERE r.customer = p_customer AND r.class = p_class AND r.key = p_key
       AND r.revision = p_revision AND r.key_version = p_old_key_version;
    IF NOT FOUND THEN
        outcome := 'changed';
        RETURN;
    END IF;
    outcome := 'resealed';
    PERFORM domicile.audit_write('reseal', outcome, p_region, p_epoch, p_customer, p_class, p_key, p_revision, NULL,
                                 p_principal, p_role, p_rule, p_request);
END $$;

-- How far the rotation of a class is. No row: the class has no key. oldest_version is the current one: there is nothing to
-- do. remaining counts, of the next p_limit records that are not known to be done, those that are sealed under an older
-- version; counted_all: there are no others.
CREATE FUNCTION domicile.key_rotation(
    p_region text, p_epoch bigint, p_customer text, p_class text, p_limit integer)
RETURNS TABLE (current_version integer, oldest_version integer, remaining bigint, counted_all boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_after text;
BEGIN
    PERFORM domicile.refuse(p_region, p_epoch, p_customer);
    SELECT max(k.version), min(k.version) INTO current_version, oldest_version FROM domicile.class_key k
     WHERE k.customer = p_customer AND k.class = p_class;
    IF current_version IS NULL THEN
        RETURN;
    END IF;
    remaining := 0;
    counted_all := true;
    IF oldest_version < current_version THEN
        SELECT p.checked_to INTO v_after FROM domicile.reseal p
         WHERE p.customer = p_customer AND p.class = p_class AND p.current = current_version;
        SELECT count(*) FILTER (WHERE n.key_version < current_version), count(*) < p_limit INTO remaining, counted_all
          FROM (SELECT r.key_version FROM domicile.record r
                 WHERE r.customer = p_customer AND r.class = p_class AND r.key > coalesce(v_after, '')
                 ORDER BY r.key LIMIT p_limit) n;
    END IF;
    RETURN NEXT;
END $$;

-- Deletes the wrapped keys of all versions below p_current, the current one, when no record is sealed under them. To know
-- that, it goes through the class in the order of keys, p_limit records a call, and remembers how far it came. Outcomes:
-- retired (versions: how many); more (call again); in-use (the record behind checked_to is sealed under an older version:
-- seal it anew, and call again); version (p_current is not the current version). Besides: region, epoch, customer, bounds.
CREATE FUNCTION domicile.class_key_retire(
    p_region text, p_epoch bigint, p_customer text, p_class text, p_current integer, p_limit integer,
    p_principal text, p_role text, p_rule text, p_request text,
    OUT outcome text, OUT versions integer, OUT checked_to text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_from text;
    v_key text;
    v_version integer;
    v_rows integer := 0;
BEGIN
    outcome := domicile.refusal(p_region, p_epoch, p_customer);
    IF outcome IS NOT NULL THEN
        RETURN;
    ELSIF p_limit NOT BETWEEN 1 AND 10000 THEN
        outcome := 'bounds';
        RETURN;
    ELSIF p_current IS DISTINCT FROM (SELECT max(k.version) FROM domicile.class_key k
                                       WHERE k.customer = p_customer AND k.class = p_class) THEN
        outcome := 'version';
        RETURN;
    END IF;
    SELECT p.checked_to INTO v_from FROM domicile.reseal p
     WHERE p.customer = p_customer AND p.class = p_class AND p.current = p_current;
    v_from := coalesce(v_from, '');
    checked_to := v_from;
    outcome := 'retired';
    FOR v_key, v_version IN
        SELECT r.key, r.key_version FROM domicile.record r
         WHERE r.customer = p_customer AND r.class = p_class AND r.key > v_from ORDER BY r.key LIMIT p_limit
    LOOP
        v_rows := v_rows + 1;
        IF v_version < p_current THEN
            outcome := 'in-use';
            EXIT;
        END IF;
        checked_to := v_key;
    END LOOP;
    IF outcome = 'retired' AND v_rows = p_limit THEN
        outcome := 'more';
    END IF;
    IF outcome <> 'retired' THEN
        IF checked_to <> v_from THEN
            INSERT INTO domicile.reseal AS p (customer, class, current, checked_to)
            VALUES (p_customer, p_class, p_current, class_key_retire.checked_to)
                ON CONFLICT (customer, class) DO UPDATE SET current = excluded.current, checked_to = excluded.checked_to;
        END IF;
        RETURN;
    END IF;
    DELETE FROM domicile.reseal p WHERE p.customer = p_customer AND p.class = p_class;
    DELETE FROM domicile.class_key k WHERE k.customer = p_customer AND k.class = p_class AND k.version < p_current;
    GET DIAGNOSTICS versions = ROW_COUNT;
    PERFORM domicile.audit_write('key-retire', outcome, p_region, p_epoch, p_customer, p_class, NULL, p_current, versions,
                                 p_principal, p_role, p_rule, p_request);
END $$;
