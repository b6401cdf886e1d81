-- Evidence of where a node is: a question that only something with this cell's records at hand can answer, asked by
-- whoever measures the round trip. docs/location.md says what an answer proves, and what it cannot.
--
-- The answer is made of rows of the audit log, which is never changed, and of the sealed records that they speak of: the
-- nonce chooses which. So it is not known before the question comes, whoever answers needs all of them, and any node of
-- the cell that has replayed p_upto gives the same one. Both functions only read: a standby answers too.

-- The newest audit row that is old enough for every row before it to be there. NULL: there is none.
CREATE FUNCTION domicile.location_horizon(OUT upto bigint, OUT at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT a.id, a.at INTO upto, at FROM domicile.audit a
     WHERE a.at < now() - interval '10 seconds' ORDER BY a.id DESC LIMIT 1;
END $$;

-- answer: SHA-256 over the nonce and what it chose; count: of rows of the audit log in it. NULL: this node has not replayed
-- p_upto yet. Rows are as text, so how it is written must not depend on the session.
CREATE FUNCTION domicile.location_answer(p_nonce bytea, p_upto bigint, OUT answer bytea, OUT count integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO, YMD' AS $$
DECLARE
    c_rows CONSTANT integer := 16;
    c_piece CONSTANT integer := 1024; -- bytes of a record
    v_sum bytea;
    v_row domicile.audit;
    v_payload bytea;
BEGIN
    IF octet_length(p_nonce) IS DISTINCT FROM 32 OR p_upto IS NULL OR p_upto < 1 THEN
        RAISE EXCEPTION 'an argument is out of bounds' USING ERRCODE = 'DM004';
    END IF;
    PERFORM FROM domicile.audit a WHERE a.id >= p_upto LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT sha256(p_nonce || convert_to(s.region || '/' || s.name || '@' || s.stamped_at, 'UTF8'))
      INTO v_sum FROM domicile.cell s;
    count := 0;
    FOR i IN 1 .. c_rows LOOP
        SELECT * INTO v_row FROM domicile.audit a
         WHERE a.id <= p_upto AND a.id >= 1 + mod(('x' || encode(substr(v_sum, 1, 7), 'hex'))::bit(56)::bigint, p_upto)
         ORDER BY a.id LIMIT 1;
        CONTINUE WHEN NOT FOUND;
        SELECT substr(r.payload, 1 + mod(get_byte(v_sum, 8) * 256 + get_byte(v_sum, 9),
                                         greatest(1, octet_length(r.payload) - c_piece)), c_piece)
          INTO v_payload FROM domicile.record r
         WHERE r.customer = v_row.customer AND r.class = v_row.class AND r.key = v_row.key
           AND r.revision = v_row.revision;
        v_sum := sha256(p_nonce || v_sum || convert_to(v_row::text, 'UTF8') || coalesce(v_payload, ''));
        count := count + 1;
    END LOOP;
    answer := v_sum;
END $$;

REVOKE ALL ON FUNCTION domicile.location_horizon, domicile.location_answer FROM PUBLIC, domicile_gateway;

-- For domicile_monitor, which may be made after this file was applied: then its maker calls this again.
CREATE FUNCTION domicile.location_grant() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'domicile_monitor') THEN
        GRANT USAGE ON SCHEMA domicile TO domicile_monitor;
        GRANT EXECUTE ON FUNCTION domicile.location_horizon, domicile.location_answer TO domicile_monitor;
    END IF;
END $$;
SELECT domicile.location_grant();
