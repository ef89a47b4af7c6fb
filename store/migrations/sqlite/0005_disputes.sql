-- Objects that contradict what is known, for an operator to decide on. The rows
-- of conflict stay: they tell of bytes, these of decisions.
CREATE TABLE dispute (
  id          TEXT PRIMARY KEY,
  kind        TEXT   NOT NULL, -- content study patient accession
  study_uid   TEXT   NOT NULL,
  sop_uid     TEXT   NOT NULL,
  sha256      BLOB   NOT NULL,
  object_key  TEXT   NOT NULL,
  bytes       BIGINT NOT NULL,
  sender      TEXT   NOT NULL,
  received_at BIGINT NOT NULL,
  evidence    TEXT   NOT NULL, -- JSON
  arrival     TEXT   NOT NULL, -- JSON: what accepting it would record; empty when there is nothing to
  state       TEXT   NOT NULL, -- open accepted discarded
  decided_by  TEXT   NOT NULL,
  reason      TEXT   NOT NULL,
  decided_at  BIGINT NOT NULL
);
CREATE INDEX dispute_state ON dispute (state, received_at, id);
CREATE INDEX dispute_study ON dispute (study_uid, state);
