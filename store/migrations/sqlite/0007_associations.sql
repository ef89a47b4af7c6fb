-- What associations that we open owe us, bring us and teach us.

-- Storage commitment as its user, PS3.4 Annex J: the objects that a destination
-- has taken and must answer for.
CREATE TABLE owed (
  delivery_id TEXT PRIMARY KEY REFERENCES delivery (id),
  destination TEXT   NOT NULL,
  state       TEXT   NOT NULL, -- asking kept broken late waived
  since       BIGINT NOT NULL, -- when it took the object
  tries       BIGINT NOT NULL, -- requests that named the object
  next_at     BIGINT NOT NULL, -- when to ask, or to ask again
  breaches    BIGINT NOT NULL, -- how often it said that it does not have what it took
  error       TEXT   NOT NULL
);
CREATE INDEX owed_due ON owed (destination, state, next_at);

-- The requests: one transaction each.
CREATE TABLE asked (
  transaction_uid TEXT PRIMARY KEY,
  destination     TEXT   NOT NULL,
  deliveries      TEXT   NOT NULL, -- JSON
  asked_at        BIGINT NOT NULL,
  answered_at     BIGINT NOT NULL,
  kept            BIGINT NOT NULL,
  failed          BIGINT NOT NULL
);
CREATE INDEX asked_time ON asked (asked_at);

-- What is learned of a sender's pauses.
CREATE TABLE rhythm (
  sender TEXT PRIMARY KEY,
  pauses TEXT   NOT NULL, -- JSON
  ends   TEXT   NOT NULL, -- JSON
  at     BIGINT NOT NULL
);

-- A step for several studies: its objects are of one of them, and nobody says of
-- which.
ALTER TABLE expectation ADD COLUMN shared BIGINT NOT NULL DEFAULT 0;
CREATE INDEX expectation_time ON expectation (at);
CREATE INDEX commitment_time  ON commitment (status, at);
CREATE INDEX step_time        ON step (at);

-- Earlier studies of a patient that we asked for. A study that is pushed to us
-- later is no prior any more.
CREATE TABLE prior (
  study_uid  TEXT PRIMARY KEY,
  of_study   TEXT   NOT NULL, -- for which it was asked first
  ae         TEXT   NOT NULL, -- who had it
  how        TEXT   NOT NULL, -- get or move; empty until it came
  state      TEXT   NOT NULL, -- wanted fetched failed pushed
  evidence   TEXT   NOT NULL, -- JSON: what the archive said of it
  objects    BIGINT NOT NULL, -- that the archive has
  asked_at   BIGINT NOT NULL,
  fetched_at BIGINT NOT NULL,
  error      TEXT   NOT NULL
);
CREATE INDEX prior_of ON prior (of_study);

-- The studies for which an archive was asked for priors.
CREATE TABLE prior_search (
  study_uid TEXT PRIMARY KEY,
  state     TEXT   NOT NULL, -- waiting done failed
  tries     BIGINT NOT NULL,
  next_at   BIGINT NOT NULL,
  found     BIGINT NOT NULL,
  at        BIGINT NOT NULL,
  error     TEXT   NOT NULL
);
CREATE INDEX prior_search_due ON prior_search (state, next_at);
