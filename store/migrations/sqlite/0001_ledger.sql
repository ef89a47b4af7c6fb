-- Times are milliseconds since 1970, UTC, and 0 for none. Booleans are 0 and 1.
-- Hashes are 32 bytes. What only Go reads whole is JSON in a TEXT. For
-- PostgreSQL read BYTEA for BLOB, GENERATED ALWAYS AS IDENTITY for the INTEGER
-- keys, and nothing for WITHOUT ROWID.

CREATE TABLE meta (k TEXT PRIMARY KEY, v TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE study (
  uid              TEXT PRIMARY KEY,
  status           TEXT   NOT NULL,
  rev              BIGINT NOT NULL,
  patient_id       TEXT   NOT NULL,
  issuer           TEXT   NOT NULL,
  patient_name     TEXT   NOT NULL,
  birth            TEXT   NOT NULL,
  sex              TEXT   NOT NULL,
  accession        TEXT   NOT NULL,
  study_id         TEXT   NOT NULL,
  description      TEXT   NOT NULL,
  study_date       TEXT   NOT NULL,
  study_time       TEXT   NOT NULL,
  referring        TEXT   NOT NULL,
  modality         TEXT   NOT NULL,
  priority         TEXT   NOT NULL,
  instances        BIGINT NOT NULL,
  conflicts        BIGINT NOT NULL,
  sender           TEXT   NOT NULL,
  received_at      BIGINT NOT NULL,
  last_instance_at BIGINT NOT NULL,
  settled_at       BIGINT NOT NULL,
  waiting          BIGINT NOT NULL, -- 1 while it is to be read
  class            BIGINT NOT NULL,
  place_key        BIGINT NOT NULL, -- virtual arrival
  why              TEXT   NOT NULL,
  deadline         BIGINT NOT NULL,
  rule             TEXT   NOT NULL,
  opened_at        BIGINT NOT NULL,
  read_at          BIGINT NOT NULL,
  note             TEXT   NOT NULL,
  search           TEXT   NOT NULL  -- name, ID and accession in lower case, for pages
);
CREATE INDEX study_order     ON study (waiting, class, place_key, uid);
CREATE INDEX study_modality  ON study (waiting, modality, class, place_key, uid);
CREATE INDEX study_status    ON study (status, class, place_key, uid);
CREATE INDEX study_received  ON study (received_at, uid);
CREATE INDEX study_patient   ON study (patient_id, received_at, uid);
CREATE INDEX study_accession ON study (accession, received_at, uid);

CREATE TABLE instance (
  sop_uid         TEXT PRIMARY KEY,
  study_uid       TEXT   NOT NULL REFERENCES study (uid),
  series_uid      TEXT   NOT NULL,
  class_uid       TEXT   NOT NULL,
  transfer_syntax TEXT   NOT NULL,
  modality        TEXT   NOT NULL,
  number          BIGINT NOT NULL,
  series_number   BIGINT NOT NULL,
  series_text     TEXT   NOT NULL,
  object_key      TEXT   NOT NULL,
  bytes           BIGINT NOT NULL,
  sha256          BLOB   NOT NULL,
  received_at     BIGINT NOT NULL,
  own             BIGINT NOT NULL, -- 1: a report that we wrote; it never counts as received
  image           TEXT   NOT NULL  -- JSON; empty when the object holds none
);
CREATE INDEX instance_study ON instance (study_uid, own, series_uid);

-- Apart from the instances, so that a list of these needn't step over them.
CREATE TABLE frame_index (
  sop_uid TEXT PRIMARY KEY REFERENCES instance (sop_uid),
  frames  BLOB NOT NULL
) WITHOUT ROWID;

-- Other content under a known UID. The first stays in use.
CREATE TABLE conflict (
  sop_uid     TEXT   NOT NULL,
  study_uid   TEXT   NOT NULL,
  sha256      BLOB   NOT NULL,
  object_key  TEXT   NOT NULL,
  bytes       BIGINT NOT NULL,
  received_at BIGINT NOT NULL,
  PRIMARY KEY (sop_uid, study_uid, sha256)
);

CREATE TABLE revision (
  study_uid  TEXT   NOT NULL REFERENCES study (uid),
  rev        BIGINT NOT NULL,
  plan       BLOB   NOT NULL, -- hash of the plan
  lane       BIGINT NOT NULL,
  instances  BIGINT NOT NULL,
  settled_at BIGINT NOT NULL,
  PRIMARY KEY (study_uid, rev)
);

CREATE TABLE model_plan (
  study_uid     TEXT   NOT NULL,
  rev           BIGINT NOT NULL,
  model_id      TEXT   NOT NULL,
  model_version TEXT   NOT NULL,
  model_sha256  BLOB   NOT NULL,
  parts         BIGINT NOT NULL,
  plan          TEXT   NOT NULL, -- JSON, without its blocks
  PRIMARY KEY (study_uid, rev, model_id, model_version, model_sha256)
);

CREATE TABLE job (
  id            TEXT PRIMARY KEY,
  study_uid     TEXT   NOT NULL REFERENCES study (uid),
  rev           BIGINT NOT NULL,
  task          TEXT   NOT NULL,
  model_id      TEXT   NOT NULL,
  model_version TEXT   NOT NULL,
  model_sha256  BLOB   NOT NULL,
  part          BIGINT NOT NULL,
  planned       BIGINT NOT NULL,
  pool          TEXT   NOT NULL,
  lane          BIGINT NOT NULL,
  due_at        BIGINT NOT NULL,
  created_at    BIGINT NOT NULL,
  not_before    BIGINT NOT NULL,
  est_ms        BIGINT NOT NULL,
  state         TEXT   NOT NULL, -- ready enqueued done failed canceled
  attempt       BIGINT NOT NULL, -- deliveries: the fence
  fails         BIGINT NOT NULL, -- its own errors
  lost          BIGINT NOT NULL, -- deaths of its worker
  enqueued_at   BIGINT NOT NULL,
  worker        TEXT   NOT NULL, -- empty until a worker begins it
  error         TEXT   NOT NULL,
  reason        TEXT   NOT NULL  -- JSON; empty unless it failed
);
CREATE INDEX job_ready    ON job (pool, lane, due_at, created_at, part, id) WHERE state = 'ready';
CREATE INDEX job_enqueued ON job (pool, enqueued_at)                  WHERE state = 'enqueued';
CREATE INDEX job_failed   ON job (pool, lane)                         WHERE state = 'failed';
CREATE INDEX job_study    ON job (study_uid, rev, task, state);

-- The tiles of a scoring job. Apart, because a job's state changes often and
-- its tiles never.
CREATE TABLE block (
  job_id TEXT PRIMARY KEY REFERENCES job (id),
  tiles  TEXT NOT NULL
);

CREATE TABLE part (
  job_id     TEXT PRIMARY KEY REFERENCES job (id),
  attempt    BIGINT NOT NULL,
  object_key TEXT   NOT NULL,
  planned    BIGINT NOT NULL,
  seen       BIGINT NOT NULL,
  seconds    DOUBLE PRECISION NOT NULL,
  at         BIGINT NOT NULL
) WITHOUT ROWID;

-- The key is what keeps one model from having two results of one revision.
CREATE TABLE result (
  study_uid     TEXT   NOT NULL REFERENCES study (uid),
  rev           BIGINT NOT NULL,
  model_id      TEXT   NOT NULL,
  model_version TEXT   NOT NULL,
  model_sha256  BLOB   NOT NULL,
  ai            TEXT   NOT NULL,
  shadow        BIGINT NOT NULL,
  at            BIGINT NOT NULL,
  body          TEXT   NOT NULL, -- JSON
  PRIMARY KEY (study_uid, rev, model_id, model_version, model_sha256)
);

CREATE TABLE report (
  sop_uid       TEXT PRIMARY KEY,
  study_uid     TEXT   NOT NULL REFERENCES study (uid),
  rev           BIGINT NOT NULL,
  model_id      TEXT   NOT NULL,
  model_version TEXT   NOT NULL,
  model_sha256  BLOB   NOT NULL,
  kind          TEXT   NOT NULL,
  series_uid    TEXT   NOT NULL,
  class_uid     TEXT   NOT NULL,
  object_key    TEXT   NOT NULL,
  bytes         BIGINT NOT NULL,
  sha256        BLOB   NOT NULL,
  at            BIGINT NOT NULL,
  UNIQUE (study_uid, rev, model_id, model_version, model_sha256, kind)
);

CREATE TABLE delivery (
  id          TEXT PRIMARY KEY,
  report_uid  TEXT   NOT NULL REFERENCES report (sop_uid),
  study_uid   TEXT   NOT NULL,
  class_uid   TEXT   NOT NULL,
  object_key  TEXT   NOT NULL,
  destination TEXT   NOT NULL,
  status      TEXT   NOT NULL, -- waiting delivered failed
  tries       BIGINT NOT NULL,
  next_at     BIGINT NOT NULL,
  at          BIGINT NOT NULL,
  error       TEXT   NOT NULL
);
CREATE INDEX delivery_due   ON delivery (status, next_at, id);
CREATE INDEX delivery_study ON delivery (study_uid, report_uid, destination);

CREATE TABLE reading (
  id        INTEGER PRIMARY KEY,
  study_uid TEXT   NOT NULL REFERENCES study (uid),
  rev       BIGINT NOT NULL,
  reader    TEXT   NOT NULL,
  verdict   TEXT   NOT NULL,
  at        BIGINT NOT NULL
);
CREATE INDEX reading_study ON reading (study_uid, id);

CREATE TABLE worker (
  name    TEXT   NOT NULL,
  pool    TEXT   NOT NULL,
  slots   BIGINT NOT NULL,
  seen_at BIGINT NOT NULL,
  PRIMARY KEY (name, pool)
) WITHOUT ROWID;

CREATE TABLE model_change (
  id            INTEGER PRIMARY KEY,
  model_id      TEXT   NOT NULL,
  model_version TEXT   NOT NULL,
  model_sha256  BLOB   NOT NULL,
  state         TEXT   NOT NULL,
  actor         TEXT   NOT NULL,
  reason        TEXT   NOT NULL,
  at            BIGINT NOT NULL
);
CREATE INDEX model_change_model ON model_change (model_id, model_version, model_sha256, id);

CREATE TABLE token (
  hash       BLOB PRIMARY KEY,
  session    BIGINT NOT NULL, -- 1: a browser's, 0: a bearer token
  role       TEXT   NOT NULL,
  name       TEXT   NOT NULL,
  expires_at BIGINT NOT NULL,
  made_at    BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE audit (
  n      BIGINT PRIMARY KEY,
  at     BIGINT NOT NULL,
  actor  TEXT   NOT NULL,
  action TEXT   NOT NULL,
  entity TEXT   NOT NULL,
  detail TEXT   NOT NULL,
  prev   BLOB   NOT NULL,
  hash   BLOB   NOT NULL
);

-- The end of the audit chain. To lay hold of its one row is to be the next link.
CREATE TABLE audit_end (
  id   BIGINT PRIMARY KEY,
  n    BIGINT NOT NULL,
  hash BLOB   NOT NULL
);
INSERT INTO audit_end (id, n, hash) VALUES (1, 0, x'0000000000000000000000000000000000000000000000000000000000000000');
