-- Fences grow by steps: a directory's lease grows by one with every holder, so a leap is a mistake or a theft. Whoever has a
-- monitor's certificate could otherwise name the greatest fence that there is, and no monitor would ever be heard again.

-- Replaces 007's. A fence that leaps brings the cell's fence nearer by one step and is refused: a monitor whose lease was
-- taken more often than the cell could see comes through after some rounds, and the end of the numbers is 2^51 calls away.
-- A monitor that is refused takes its lease above the cell's fence (directory_lease_acquire_above).
CREATE OR REPLACE FUNCTION domicile.monitor_refusal(p_region text, p_fence bigint, p_writer text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    c_step CONSTANT bigint := 4096;
    v_fence bigint;
BEGIN
    IF p_region IS DISTINCT FROM (SELECT s.region FROM domicile.cell s) THEN
        RETURN 'region';
    END IF;
    UPDATE domicile.heartbeat h
       SET fence = CASE WHEN p_fence - h.fence > c_step THEN h.fence + c_step ELSE p_fence END, writer = p_writer
     WHERE h.fence < p_fence OR (h.fence = p_fence AND h.writer = p_writer)
    RETURNING h.fence INTO v_fence;
    RETURN CASE WHEN v_fence IS DISTINCT FROM p_fence THEN 'fence' END;
END $$;

-- Replaces 007's: a row is of this fence or an earlier one. Of a later one it would hide all rows up to that fence.
CREATE OR REPLACE FUNCTION domicile.monitor_audit(
    p_region text, p_fence bigint, p_of_fence bigint, p_number bigint, p_action text, p_result text, p_what text,
    p_rule text, p_writer text,
    OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    outcome := domicile.monitor_refusal(p_region, p_fence, p_writer);
    IF outcome IS NULL AND p_of_fence > p_fence THEN
        outcome := 'fence';
    END IF;
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    UPDATE domicile.cell_state s SET audit_fence = p_of_fence, audit_number = p_number
     WHERE (s.audit_fence, s.audit_number) < (p_of_fence, p_number);
    IF NOT FOUND THEN
        outcome := 'again';
        RETURN;
    END IF;
    PERFORM domicile.audit_write(p_action, p_result, p_region, (SELECT c.epoch FROM domicile.cell c), NULL, NULL, p_what,
                                 NULL, NULL, 'system', 'system', p_rule, p_writer);
    outcome := 'done';
END $$;
