-- Rows of what writes nothing else: refusals, tokens given, alarms; and the search for the rows of a request.
--
-- Two columns more, which are NULL in the rows of the record path: that costs it nothing.
ALTER TABLE domicile.audit
    ADD COLUMN home       text COLLATE "C", -- of a refusal: the region where the request belongs
    ADD COLUMN request_to text COLLATE "C"; -- of a sum of `rows` events: the last of their requests; `request` is the first

-- p_customer, p_class, p_key, p_rows and p_request_to may be NULL. Outcomes: recorded, region, epoch, bounds. It raises
-- nothing: an error would undo the other calls of the same batch as well.
DROP FUNCTION domicile.audit_add;
CREATE FUNCTION domicile.audit_add(
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
        OR octet_length(p_action) NOT BETWEEN 1 AND 63 OR octet_length(p_outcome) NOT BETWEEN 1 AND 63
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

-- The rows of a request since p_since, the oldest first, at most p_limit; and the sums of its gateway's minute, in which it
-- may be counted. An index on the requests would cost each write; instead this finds the first id of that time, since ids
-- and times grow together but for transactions that ran at once (10 minutes are more than any has), and reads on from
-- there.
CREATE FUNCTION domicile.audit_of_request(p_request text, p_since timestamptz, p_limit integer)
RETURNS TABLE (at timestamptz, action text, outcome text, customer text, class text, key text, revision bigint,
               rows integer, principal text, role text, rule text, home text, request text, request_to text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_low bigint := 0;
    v_high bigint;
    v_middle bigint;
    v_at timestamptz;
BEGIN
    IF octet_length(p_request) NOT BETWEEN 1 AND 63 OR p_since IS NULL OR p_limit NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'an argument is out of bounds' USING ERRCODE = 'DM004';
    END IF;
    SELECT max(a.id) INTO v_high FROM domicile.audit a;
    WHILE v_low < v_high LOOP
        v_middle := v_low + (v_high - v_low) / 2;
        SELECT a.at INTO v_at FROM domicile.audit a WHERE a.id >= v_middle ORDER BY a.id LIMIT 1;
        IF v_at < p_since - interval '10 minutes' THEN
            v_low := v_middle + 1;
        ELSE
            v_high := v_middle;
        END IF;
    END LOOP;
    RETURN QUERY
        SELECT a.at, a.action, a.outcome, a.customer, a.class, a.key, a.revision, a.rows, a.principal, a.role, a.rule, a.home,
               a.request, a.request_to
          FROM domicile.audit a
         WHERE a.id >= v_low AND a.at >= p_since
           AND (a.request = p_request OR (a.request < p_request AND a.request_to >= p_request))
         ORDER BY a.id LIMIT p_limit;
END $$;

-- audit_of_request is for domicile_admin, a member of domicile_owner, and for no gateway.
REVOKE ALL ON FUNCTION domicile.audit_add, domicile.audit_of_request FROM PUBLIC, domicile_gateway;
GRANT EXECUTE ON FUNCTION domicile.audit_add TO domicile_gateway;
