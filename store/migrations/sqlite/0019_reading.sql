-- Who has a study in hand: one row a study, whose holder is empty while nobody
-- has. asked names who would like to have it.
CREATE TABLE claim (
  study_uid TEXT PRIMARY KEY REFERENCES study (uid),
  holder    TEXT   NOT NULL,
  since     BIGINT NOT NULL,
  seen      BIGINT NOT NULL, -- when the holder last did something with it
  asked     TEXT   NOT NULL,
  asked_at  BIGINT NOT NULL
);
CREATE INDEX claim_held ON claim (seen) WHERE holder <> '';

-- What readers did with a study, step by step and never changed: passed it over,
-- locked an impression of their own, were shown what the AI says, judged its
-- findings, concluded, added something.
CREATE TABLE reading_step (
  id            INTEGER PRIMARY KEY,
  study_uid     TEXT   NOT NULL REFERENCES study (uid),
  rev           BIGINT NOT NULL,
  reader        TEXT   NOT NULL,
  step          TEXT   NOT NULL, -- skipped own shown finding missed final addendum
  model_id      TEXT   NOT NULL, -- empty where the step is about no model
  model_version TEXT   NOT NULL,
  model_sha256  BLOB   NOT NULL,
  tracking      TEXT   NOT NULL, -- of the finding
  verdict       TEXT   NOT NULL,
  body          TEXT   NOT NULL, -- JSON: the rest
  at            BIGINT NOT NULL
);
CREATE INDEX reading_step_study ON reading_step (study_uid, id);
CREATE INDEX reading_step_model ON reading_step (model_id, model_version, at) WHERE model_id <> '';
-- Each reader locks one impression of one state of a study, and concludes once.
CREATE UNIQUE INDEX reading_step_once ON reading_step (study_uid, rev, reader, step) WHERE step IN ('own', 'final');
