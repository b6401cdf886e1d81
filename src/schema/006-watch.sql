-- What the watch leaves in the cell, and the one look at records that it needs.

-- A finding: something in the cluster that nothing declares, from when to when. Its begin and end are audit rows too.
CREATE TABLE domicile.finding (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel  text COLLATE "C" NOT NULL CHECK (channel ~ '^[a-z0-9-]{2,63}$'),
    severity text COLLATE "C" NOT NULL CHECK (severity IN ('info', 'warning', 'high', 'critical')),
    node     text COLLATE "C" NOT NULL CHECK (octet_length(node) BETWEEN 1 AND 63), -- or the cell
    subject  text COLLATE "C" NOT NULL CHECK (octet_length(subject) BETWEEN 1 AND 400),
    evidence text NOT NULL CHECK (octet_length(evidence) <= 400),
    began_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE UNIQUE INDEX finding_open ON domicile.finding (channel, node, subject) WHERE ended_at IS NULL;

-- For the function below: an audit row of the cell's own epoch.
CREATE FUNCTION domicile.finding_audit(p_action text, p_outcome text, p_channel text, p_node text, p_subject text)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_cell domicile.cell;
BEGIN
    SELECT * INTO v_cell FROM domicile.cell;
    PERFORM domicile.audit_write(p_action, p_outcome, v_cell.region, v_cell.epoch, NULL, NULL, p_subject, NULL, NULL,
                                 'system', 'system', 'watch:' || p_channel, p_node);
END $$;

-- p_event: begin, end, severed, not-severed. p_fence, p_writer: of the monitor's lease (007-heartbeat). Outcomes: recorded;
-- unchanged (it had begun, or had ended); region, fence.
CREATE FUNCTION domicile.finding_event(
    p_region text, p_fence bigint, p_writer text, p_event text, p_channel text, p_severity text, p_node text,
    p_subject text, p_evidence text, p_at timestamptz, OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    outcome := domicile.monitor_refusal(p_region, p_fence, p_writer);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    outcome := 'unchanged';
    IF p_event = 'begin' THEN
        INSERT INTO domicile.finding (channel, severity, node, subject, evidence, began_at)
        VALUES (p_channel, p_severity, p_node, p_subject, p_evidence, p_at) ON CONFLICT DO NOTHING;
    ELSIF p_event = 'end' THEN
        UPDATE domicile.finding f SET ended_at = greatest(p_at, f.began_at)
         WHERE f.channel = p_channel AND f.node = p_node AND f.subject = p_subject AND f.ended_at IS NULL;
    ELSIF p_event NOT IN ('severed', 'not-severed') THEN
        RAISE EXCEPTION 'an argument is out of bounds' USING ERRCODE = 'DM004';
    END IF;
    IF FOUND OR p_event IN ('severed', 'not-severed') THEN
        PERFORM domicile.finding_audit('finding-' || p_event, p_severity, p_channel, p_node, p_subject);
        outcome := 'recorded';
    END IF;
END $$;

CREATE FUNCTION domicile.findings_open()
RETURNS TABLE (channel text, node text, subject text, evidence text, began_at timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT f.channel, f.node, f.subject, f.evidence, f.began_at FROM domicile.finding f
     WHERE f.ended_at IS NULL ORDER BY f.id LIMIT 1024;
END;

-- Findings that ended after p_from, the latest first.
CREATE FUNCTION domicile.findings_ended(p_from timestamptz)
RETURNS TABLE (channel text, node text, subject text, evidence text, began_at timestamptz, ended_at timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT f.channel, f.node, f.subject, f.evidence, f.began_at, f.ended_at FROM domicile.finding f
     WHERE f.ended_at > p_from ORDER BY f.ended_at DESC, f.id DESC LIMIT 1024;
END;
CREATE INDEX finding_ended ON domicile.finding (ended_at) WHERE ended_at IS NOT NULL;

-- Records of the pages p_from to p_from + p_pages - 1 that should be sealed and do not look it: of a class in p_sealed
-- with key version 0, or with a key version and without the header of a sealed record (0xd1, the version as u32).
-- pages is the number of pages that there are. No byte of a record comes out.
CREATE FUNCTION domicile.watch_unsealed(p_sealed text[], p_from bigint, p_pages bigint)
RETURNS TABLE (pages bigint, customer text, class text, records bigint, sample text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_pages bigint := pg_relation_size('domicile.record') / current_setting('block_size')::bigint;
BEGIN
    RETURN QUERY SELECT v_pages, NULL::text, NULL::text, 0::bigint, NULL::text;
    RETURN QUERY
    SELECT v_pages, r.customer, r.class, count(*), min(r.key) FROM domicile.record r
     WHERE r.ctid >= format('(%s,0)', least(p_from, 4294967294))::tid
       AND r.ctid < format('(%s,0)', least(p_from + p_pages, 4294967294))::tid
       AND CASE WHEN r.key_version = 0 THEN r.class = ANY (p_sealed)
                ELSE octet_length(r.payload) < 45
                     OR substring(r.payload FROM 1 FOR 5) <> '\xd1'::bytea || int4send(r.key_version) END
     GROUP BY r.customer, r.class ORDER BY r.customer, r.class LIMIT 100;
END $$;

-- Gives domicile_monitor its rights; for grants after the role was made.
CREATE FUNCTION domicile.watch_rights() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'domicile_monitor') THEN
        GRANT USAGE ON SCHEMA domicile TO domicile_monitor;
        GRANT EXECUTE ON FUNCTION domicile.finding_event, domicile.findings_open, domicile.findings_ended,
            domicile.watch_unsealed, domicile.cell_status TO domicile_monitor;
    END IF;
END $$;

REVOKE ALL ON domicile.finding FROM PUBLIC, domicile_gateway;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA domicile FROM PUBLIC, domicile_gateway;
REVOKE ALL ON FUNCTION domicile.finding_audit, domicile.finding_event, domicile.findings_open, domicile.findings_ended,
    domicile.watch_unsealed, domicile.watch_rights FROM PUBLIC, domicile_gateway;
SELECT domicile.watch_rights();
