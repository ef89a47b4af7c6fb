-- What peers have asked us to answer for, and what they have told us to expect.

-- Storage commitment, PS3.4 Annex J. Kept before the request is answered, so that
-- the report that we owe outlives us.
CREATE TABLE commitment (
  id          TEXT PRIMARY KEY,
  transaction_uid TEXT NOT NULL,
  ae          TEXT   NOT NULL,
  objects     TEXT   NOT NULL, -- JSON; empty once it is over
  asked_at    BIGINT NOT NULL,
  status      TEXT   NOT NULL, -- waiting answered failed
  tries       BIGINT NOT NULL,
  next_at     BIGINT NOT NULL,
  at          BIGINT NOT NULL,
  error       TEXT   NOT NULL
);
CREATE INDEX commitment_due ON commitment (status, next_at, id);

-- A performed procedure step or a notice of availability, study by study.
CREATE TABLE expectation (
  study_uid TEXT   NOT NULL,
  id        TEXT   NOT NULL, -- SOP Instance UID of the step or the notice
  source    TEXT   NOT NULL, -- mpps ian
  ended     BIGINT NOT NULL, -- 1: nothing will be added
  objects   TEXT   NOT NULL, -- JSON
  at        BIGINT NOT NULL,
  PRIMARY KEY (study_uid, id)
);
CREATE INDEX expectation_id ON expectation (id);

-- A performed procedure step by itself: it may name its study only at its end.
CREATE TABLE step (
  id     TEXT PRIMARY KEY,
  status TEXT   NOT NULL, -- IN PROGRESS, COMPLETED, DISCONTINUED
  at     BIGINT NOT NULL
);
