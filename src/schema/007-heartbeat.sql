-- The monitor's side of a cell: the heartbeat, the mark of a degraded cell, and what the monitor may do.
--
-- Everything that acts carries the fence of the monitor's lease. A fence only grows: whoever comes with a smaller one than
-- was seen has lost the lease without noticing, and is refused. Outcomes: done, region, fence.

-- One row, written every second by the one monitor that has the lease. `sequence` grows by one with every heartbeat, and
-- `monotonic_ms` is the writer's own clock that nobody can set: what a standby lacks is told from these two alone, so the
-- clocks of hosts may differ. probed_at is for whoever asks without a lease: a real write that means nothing else.
CREATE TABLE domicile.heartbeat (
    one          boolean PRIMARY KEY DEFAULT true CHECK (one),
    sequence     bigint NOT NULL DEFAULT 0,
    at           timestamptz NOT NULL DEFAULT now(),
    monotonic_ms bigint NOT NULL DEFAULT 0,
    fence        bigint NOT NULL DEFAULT 0,
    writer       text COLLATE "C" NOT NULL DEFAULT '',
    probed_at    timestamptz
) WITH (fillfactor = 10);
INSERT INTO domicile.heartbeat DEFAULT VALUES;

-- degraded_since: since when writes are, or are about to be, acknowledged without a standby; NULL: they are not. A standby
-- of a degraded cell may lack acknowledged writes. audit_fence and audit_number: the last of the monitor's audit rows that
-- was written, so that none is written twice.
CREATE TABLE domicile.cell_state (
    one            boolean PRIMARY KEY DEFAULT true CHECK (one),
    degraded_since timestamptz,
    degraded_epoch bigint,
    audit_fence    bigint NOT NULL DEFAULT 0,
    audit_number   bigint NOT NULL DEFAULT 0
);
INSERT INTO domicile.cell_state DEFAULT VALUES;

-- Why the monitor is refused; NULL: it is not, and its fence is the one from now on. For the functions below. A fence is
-- one writer's: should a directory be made anew and count from one again, no second writer has the same.
CREATE FUNCTION domicile.monitor_refusal(p_region text, p_fence bigint, p_writer text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF p_region IS DISTINCT FROM (SELECT s.region FROM domicile.cell s) THEN
        RETURN 'region';
    END IF;
    UPDATE domicile.heartbeat h SET fence = p_fence, writer = p_writer
     WHERE h.fence < p_fence OR (h.fence = p_fence AND h.writer = p_writer);
    RETURN CASE WHEN NOT FOUND THEN 'fence' END;
END $$;

CREATE FUNCTION domicile.heartbeat_write(
    p_region text, p_fence bigint, p_writer text, p_monotonic_ms bigint,
    OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    outcome := domicile.monitor_refusal(p_region, p_fence, p_writer);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    UPDATE domicile.heartbeat h
       SET sequence = h.sequence + 1, at = clock_timestamp(), monotonic_ms = p_monotonic_ms;
    outcome := 'done';
END $$;

CREATE FUNCTION domicile.heartbeat_probe(p_region text, OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_region IS DISTINCT FROM (SELECT s.region FROM domicile.cell s) THEN
        outcome := 'region';
        RETURN;
    END IF;
    UPDATE domicile.heartbeat SET probed_at = clock_timestamp();
    outcome := 'done';
END $$;

-- On any node: the heartbeat that it sees, and its cell's state. age_ms is by this server's own clock.
CREATE FUNCTION domicile.heartbeat_read()
RETURNS TABLE (sequence bigint, at timestamptz, monotonic_ms bigint, fence bigint, writer text, age_ms bigint,
               epoch bigint, degraded_since timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT h.sequence, h.at, h.monotonic_ms, h.fence, h.writer,
           (extract(epoch FROM clock_timestamp() - h.at) * 1000)::bigint, s.epoch, d.degraded_since
      FROM domicile.heartbeat h, domicile.cell_state d, domicile.cell s;
END;

-- A row of the audit log. (p_of_fence, p_number) is the row's own: a row that was kept while the primary was away may come
-- under a later fence, and one whose answer was lost comes twice. Outcomes besides: again.
CREATE FUNCTION domicile.monitor_audit(
    p_region text, p_fence bigint, p_of_fence bigint, p_number bigint, p_action text, p_result text, p_what text,
    p_rule text, p_writer text,
    OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    outcome := domicile.monitor_refusal(p_region, p_fence, p_writer);
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

-- Before the monitor changes a setting of the cluster: holds the lock of those who do until domicile.monitor_end or until
-- the session ends, marks a cell that is about to be degraded, and says so in the audit log. ALTER SYSTEM cannot be called
-- in a function, so the monitor runs it itself between the two. Outcomes besides: busy (another session is between them).
CREATE FUNCTION domicile.monitor_begin(
    p_region text, p_fence bigint, p_degrade boolean, p_rule text, p_what text, p_writer text,
    OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_try_advisory_lock(7308894115271946612) THEN
        outcome := 'busy';
        RETURN;
    END IF;
    outcome := domicile.monitor_refusal(p_region, p_fence, p_writer);
    IF outcome IS NOT NULL THEN
        PERFORM pg_advisory_unlock(7308894115271946612);
        RETURN;
    END IF;
    IF p_degrade THEN
        UPDATE domicile.cell_state SET degraded_since = clock_timestamp(),
                                       degraded_epoch = (SELECT c.epoch FROM domicile.cell c)
         WHERE degraded_since IS NULL;
    END IF;
    PERFORM domicile.audit_write(CASE WHEN p_degrade THEN 'cell-degrade' ELSE 'cell-restore' END, 'begun', p_region,
                                 (SELECT c.epoch FROM domicile.cell c), NULL, NULL, p_what, NULL, NULL,
                                 'system', 'system', p_rule, p_writer);
    outcome := 'done';
END $$;

CREATE FUNCTION domicile.monitor_end() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT pg_advisory_unlock(7308894115271946612);
END;

-- Writes are confirmed by a standby again, and the monitor has seen it.
CREATE FUNCTION domicile.monitor_unmark(
    p_region text, p_fence bigint, p_rule text, p_what text, p_writer text,
    OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    outcome := domicile.monitor_refusal(p_region, p_fence, p_writer);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    UPDATE domicile.cell_state SET degraded_since = NULL, degraded_epoch = NULL WHERE degraded_since IS NOT NULL;
    IF FOUND THEN
        PERFORM domicile.audit_write('cell-restore', 'restored', p_region, (SELECT c.epoch FROM domicile.cell c),
                                     NULL, NULL, p_what, NULL, NULL, 'system', 'system', p_rule, p_writer);
    END IF;
    outcome := 'done';
END $$;

-- Drops a slot that retains at least p_bytes, whoever uses it: its walsender is ended first. Outcomes besides: small (it
-- does not), absent, active (its walsender did not end in time: ask again). The owner of this schema needs REPLICATION and
-- pg_signal_backend for it.
CREATE FUNCTION domicile.slot_drop(
    p_region text, p_fence bigint, p_slot text, p_bytes bigint, p_rule text, p_what text, p_writer text,
    OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_pid integer;
    v_bytes bigint;
BEGIN
    outcome := domicile.monitor_refusal(p_region, p_fence, p_writer);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT s.active_pid, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn), 0)
      INTO v_pid, v_bytes FROM pg_replication_slots s WHERE s.slot_name = p_slot;
    IF NOT FOUND THEN
        outcome := 'absent';
        RETURN;
    ELSIF v_bytes < p_bytes THEN
        outcome := 'small';
        RETURN;
    END IF;
    IF v_pid IS NOT NULL AND NOT pg_terminate_backend(v_pid, 500) THEN
        outcome := 'active';
        RETURN;
    END IF;
    BEGIN
        PERFORM pg_drop_replication_slot(p_slot);
    EXCEPTION WHEN object_in_use THEN
        outcome := 'active';
        RETURN;
    END;
    PERFORM domicile.audit_write('slot-drop', 'dropped', p_region, (SELECT c.epoch FROM domicile.cell c), NULL, NULL,
                                 p_what, NULL, NULL, 'system', 'system', p_rule, p_writer);
    outcome := 'done';
END $$;

-- The rights of domicile_monitor. It may be made after this file was applied: then its maker calls this again as
-- domicile_owner. A superuser gives it the rest: pg_monitor, ALTER SYSTEM ON PARAMETER synchronous_standby_names, and
-- EXECUTE on pg_reload_conf().
CREATE FUNCTION domicile.monitor_grant() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'domicile_monitor') THEN
        GRANT USAGE ON SCHEMA domicile TO domicile_monitor;
        GRANT EXECUTE ON FUNCTION
            domicile.heartbeat_write, domicile.heartbeat_probe, domicile.heartbeat_read, domicile.monitor_audit,
            domicile.monitor_begin, domicile.monitor_end, domicile.monitor_unmark, domicile.slot_drop,
            domicile.cell_status
        TO domicile_monitor;
    END IF;
END $$;
SELECT domicile.monitor_grant();
REVOKE ALL ON domicile.heartbeat, domicile.cell_state FROM PUBLIC, domicile_gateway;
