-- What other systems of the hospital tell of a study, before or after its images.
CREATE TABLE placed_order (
  id           INTEGER PRIMARY KEY,
  sender       TEXT   NOT NULL,
  message      TEXT   NOT NULL, -- the sender's number of it
  told_at      BIGINT NOT NULL,
  heard_at     BIGINT NOT NULL,
  canceled     BIGINT NOT NULL,
  study_uid    TEXT   NOT NULL, -- of studies that may never come; empty when not told
  accession    TEXT   NOT NULL,
  placer       TEXT   NOT NULL,
  filler       TEXT   NOT NULL,
  patient_id   TEXT   NOT NULL,
  issuer       TEXT   NOT NULL,
  patient_name TEXT   NOT NULL,
  birth        TEXT   NOT NULL,
  sex          TEXT   NOT NULL,
  identifiers  TEXT   NOT NULL, -- JSON
  priority     TEXT   NOT NULL,
  pathway      TEXT   NOT NULL,
  referred_at  BIGINT NOT NULL,
  deadline     BIGINT NOT NULL
);
CREATE INDEX placed_order_study     ON placed_order (study_uid, id);
CREATE INDEX placed_order_accession ON placed_order (accession, id);
CREATE INDEX placed_order_filler    ON placed_order (sender, filler);
CREATE INDEX placed_order_placer    ON placed_order (sender, placer);

-- Reports of physicians, each message as it came.
CREATE TABLE report_in (
  id           INTEGER PRIMARY KEY,
  sender       TEXT   NOT NULL,
  message      TEXT   NOT NULL,
  told_at      BIGINT NOT NULL,
  heard_at     BIGINT NOT NULL,
  study_uid    TEXT   NOT NULL,
  accession    TEXT   NOT NULL,
  placer       TEXT   NOT NULL,
  filler       TEXT   NOT NULL,
  patient_id   TEXT   NOT NULL,
  issuer       TEXT   NOT NULL,
  patient_name TEXT   NOT NULL,
  birth        TEXT   NOT NULL,
  sex          TEXT   NOT NULL,
  identifiers  TEXT   NOT NULL, -- JSON
  status       TEXT   NOT NULL, -- table 0123
  body         TEXT   NOT NULL,
  codes        TEXT   NOT NULL, -- JSON
  sha256       BLOB   NOT NULL, -- of what it says
  UNIQUE (sender, message, sha256)
);
CREATE INDEX report_in_study     ON report_in (study_uid, id);
CREATE INDEX report_in_accession ON report_in (accession, id);

-- Two records that are one person's. Images that still bear the old number
-- belong to the new one.
CREATE TABLE patient_merge (
  old_id     TEXT   NOT NULL,
  old_issuer TEXT   NOT NULL,
  old_name   TEXT   NOT NULL,
  new_id     TEXT   NOT NULL,
  new_issuer TEXT   NOT NULL,
  new_name   TEXT   NOT NULL,
  birth      TEXT   NOT NULL,
  sex        TEXT   NOT NULL,
  sender     TEXT   NOT NULL,
  message    TEXT   NOT NULL,
  told_at    BIGINT NOT NULL,
  PRIMARY KEY (old_id, old_issuer)
) WITHOUT ROWID;

-- What was told of a study and not applied to it, because its patient is not the
-- study's. evidence says what contradicts, never the values.
CREATE TABLE hold (
  id        INTEGER PRIMARY KEY,
  study_uid TEXT   NOT NULL REFERENCES study (uid),
  kind      TEXT   NOT NULL, -- order, report, merge, update
  subject   TEXT   NOT NULL,
  sender    TEXT   NOT NULL,
  message   TEXT   NOT NULL,
  evidence  TEXT   NOT NULL,
  at        BIGINT NOT NULL,
  UNIQUE (study_uid, kind, subject)
);
