-- The tables of a cell, and the walls that hold even against the cell's own functions and its owner.
-- Applied by `domicile cell migrate` as domicile_owner; nothing here is ever edited once released: add a file.
--
-- No function may be called by everybody just because it was made.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Identifiers and record keys are COLLATE "C": compared bytewise, the same on every host and glibc, and fast.
-- Record keys are names, not content, and are stored in clear; what is in a record is not.

-- What this cluster is: one row, written once. Everything below hangs on it.
CREATE TABLE domicile.cell (
    region     text COLLATE "C" PRIMARY KEY CHECK (region ~ '^[a-z0-9][a-z0-9-]{1,62}$'),
    name       text COLLATE "C" NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{1,62}$'),
    epoch      bigint NOT NULL CHECK (epoch > 0),
    stamped_at timestamptz NOT NULL DEFAULT now(),
    one        boolean NOT NULL DEFAULT true UNIQUE CHECK (one)
);

CREATE FUNCTION domicile.cell_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND new.region = old.region AND new.name = old.name AND new.epoch >= old.epoch THEN
        RETURN new;
    END IF;
    RAISE EXCEPTION 'the stamp of a cell stays: only its epoch may grow'
        USING ERRCODE = 'DM010', HINT = 'Build another cluster for another region.';
END $$;
CREATE TRIGGER cell_stays BEFORE UPDATE OR DELETE ON domicile.cell
    FOR EACH ROW EXECUTE FUNCTION domicile.cell_stays();
CREATE TRIGGER cell_stays_whole BEFORE TRUNCATE ON domicile.cell
    FOR EACH STATEMENT EXECUTE FUNCTION domicile.cell_stays();

-- The foreign key is the wall: a cell of `us` cannot hold a customer of `eu-fr`, whoever inserts it.
CREATE TABLE domicile.customer (
    id               text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{1,62}$'),
    region           text COLLATE "C" NOT NULL REFERENCES domicile.cell (region),
    state            text COLLATE "C" NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'moving', 'erased')),
    services_version integer NOT NULL CHECK (services_version >= 0),
    created_at       timestamptz NOT NULL DEFAULT now()
);

-- A class key, wrapped by the region's root key. The highest version is the one that writes use; lower ones are there
-- until no record is sealed with them.
CREATE TABLE domicile.class_key (
    customer   text COLLATE "C" NOT NULL REFERENCES domicile.customer (id),
    class      text COLLATE "C" NOT NULL CHECK (class ~ '^[a-z0-9][a-z0-9-]{1,62}$'),
    version    integer NOT NULL CHECK (version > 0),
    wrapped    bytea NOT NULL CHECK (octet_length(wrapped) BETWEEN 32 AND 1024),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer, class, version)
);

-- How far a rotation is: every record of the class up to this key, in the order of keys, is sealed under the version
-- `current` of its key. What was seen once stays true, since nothing can be sealed under an older version again (see
-- class_key_rotate). The row goes with that version.
CREATE TABLE domicile.reseal (
    customer   text COLLATE "C" NOT NULL,
    class      text COLLATE "C" NOT NULL,
    current    integer NOT NULL,
    checked_to text COLLATE "C" NOT NULL,
    PRIMARY KEY (customer, class),
    FOREIGN KEY (customer, class, current) REFERENCES domicile.class_key (customer, class, version) ON DELETE CASCADE
);

-- No foreign key to customer: its check would lock the customer's row in every write, and record_put looks anyway.
-- No CHECK here nor in audit: PostgreSQL compiles a table's checks anew for each statement, which made an insert of one
-- row three times as slow (50 against 16 microseconds). The functions, the only way in, check the bounds instead.
-- EXTERNAL: sealed bytes do not compress. Some room on the page lets a replacement stay on it (HOT).
CREATE TABLE domicile.record (
    revision    bigint NOT NULL,
    written_at  timestamptz NOT NULL DEFAULT now(),
    key_version integer NOT NULL, -- of the class key; 0: not sealed
    customer    text COLLATE "C" NOT NULL,
    class       text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    payload     bytea NOT NULL,
    PRIMARY KEY (customer, class, key)
) WITH (fillfactor = 85);
ALTER TABLE domicile.record ALTER COLUMN payload SET STORAGE EXTERNAL;

-- Append-only: the gateway's role has no right to the table, and the trigger stops functions and the owner as well.
-- A superuser cannot be stopped here; the Merkle log over these rows is what finds him out.
CREATE TABLE domicile.audit (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL DEFAULT now(),
    epoch     bigint NOT NULL,
    revision  bigint,  -- of the record; of a class key or, when onboarding, of the list of services: the version
    rows      integer, -- of a list or an export
    action    text COLLATE "C" NOT NULL,
    outcome   text COLLATE "C" NOT NULL,
    region    text COLLATE "C" NOT NULL,
    customer  text COLLATE "C",
    class     text COLLATE "C",
    key       text COLLATE "C",
    principal text COLLATE "C" NOT NULL, -- the client's id, or "system"
    role      text COLLATE "C" NOT NULL,
    rule      text COLLATE "C" NOT NULL, -- of the policy, which allowed it
    request   text COLLATE "C" NOT NULL
);

CREATE FUNCTION domicile.audit_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'audit rows are neither changed nor deleted' USING ERRCODE = 'DM011';
END $$;
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE ON domicile.audit
    FOR EACH ROW EXECUTE FUNCTION domicile.audit_stays();
CREATE TRIGGER audit_stays_whole BEFORE TRUNCATE ON domicile.audit
    FOR EACH STATEMENT EXECUTE FUNCTION domicile.audit_stays();

-- Who may ask. customer is NULL for the vendor's own staff. The secret is there as a hash only.
CREATE TABLE domicile.client (
    id          text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{1,62}$'),
    customer    text COLLATE "C" REFERENCES domicile.customer (id),
    role        text COLLATE "C" NOT NULL CHECK (octet_length(role) BETWEEN 1 AND 63),
    secret_hash text COLLATE "C" NOT NULL CHECK (octet_length(secret_hash) BETWEEN 16 AND 512),
    created_at  timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz,
    CHECK ((role LIKE 'customer-%') = (customer IS NOT NULL))
);
CREATE INDEX client_of_customer ON domicile.client (customer, id);

-- What was answered under an Idempotency-Key, so that the same request again gets the same answer.
CREATE TABLE domicile.idempotency (
    customer text COLLATE "C" NOT NULL,
    idem_key text COLLATE "C" NOT NULL CHECK (octet_length(idem_key) BETWEEN 1 AND 255),
    digest   bytea NOT NULL CHECK (octet_length(digest) = 32), -- HMAC-SHA256 of what was asked; the gateways have the key
    revision bigint NOT NULL,
    created  boolean NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer, idem_key)
);
CREATE INDEX idempotency_age ON domicile.idempotency (at);

-- ---- what the functions share; no right for anybody else

-- Why this cell refuses a call: region, epoch, customer; NULL: it does not. Without p_customer only the stamp is asked.
CREATE FUNCTION domicile.refusal(p_region text, p_epoch bigint, p_customer text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_refusal text;
BEGIN
    SELECT CASE WHEN s.region <> p_region THEN 'region' WHEN s.epoch <> p_epoch THEN 'epoch'
                WHEN p_customer IS NOT NULL AND c.state IS DISTINCT FROM 'active' THEN 'customer' ELSE '' END
      INTO v_refusal FROM domicile.cell s LEFT JOIN domicile.customer c ON c.id = p_customer;
    RETURN nullif(coalesce(v_refusal, 'region'), '');
END $$;

CREATE FUNCTION domicile.refuse(p_region text, p_epoch bigint, p_customer text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_refusal text := domicile.refusal(p_region, p_epoch, p_customer);
BEGIN
    IF v_refusal IS NOT NULL THEN
        RAISE EXCEPTION 'refused: %', v_refusal USING ERRCODE =
            CASE v_refusal WHEN 'region' THEN 'DM001' WHEN 'epoch' THEN 'DM002' ELSE 'DM003' END;
    END IF;
END $$;

CREATE FUNCTION domicile.audit_write(
    p_action text, p_outcome text, p_region text, p_epoch bigint, p_customer text, p_class text, p_key text,
    p_revision bigint, p_rows integer, p_principal text, p_role text, p_rule text, p_request text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF octet_length(p_action) NOT BETWEEN 1 AND 63 OR octet_length(p_outcome) NOT BETWEEN 1 AND 63
        OR octet_length(p_customer) > 63 OR octet_length(p_class) > 63 OR octet_length(p_key) > 512
        OR octet_length(p_principal) NOT BETWEEN 1 AND 63 OR octet_length(p_role) > 63
        OR octet_length(p_rule) > 127 OR octet_length(p_request) > 63 THEN
        RAISE EXCEPTION 'an argument is out of bounds' USING ERRCODE = 'DM004';
    END IF;
    INSERT INTO domicile.audit (epoch, revision, rows, action, outcome, region, customer, class, key,
                                principal, role, rule, request)
    VALUES (p_epoch, p_revision, p_rows, p_action, p_outcome, p_region, p_customer, p_class, p_key,
            p_principal, p_role, p_rule, p_request);
END $$;
