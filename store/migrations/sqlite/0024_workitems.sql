-- Readings as other workstations see them: one row an item, at most one of a study
-- not at its end. It follows the study and its claim whenever somebody looks.
CREATE TABLE workitem (
  uid            TEXT   PRIMARY KEY,
  study_uid      TEXT   NOT NULL REFERENCES study (uid),
  rev            BIGINT NOT NULL, -- of the study, from 1
  attempt        BIGINT NOT NULL,
  state          TEXT   NOT NULL, -- SCHEDULED, IN PROGRESS, COMPLETED, CANCELED
  holder         TEXT   NOT NULL,
  since          BIGINT NOT NULL,
  transaction_uid TEXT  NOT NULL, -- empty where the study was taken up on a page
  ready          BIGINT NOT NULL, -- all its images are here
  made           BIGINT NOT NULL,
  changed        BIGINT NOT NULL,
  reason         TEXT   NOT NULL,
  body           TEXT   NOT NULL  -- what the performer told of it, DICOM JSON
);
CREATE UNIQUE INDEX workitem_open ON workitem (study_uid) WHERE state IN ('SCHEDULED', 'IN PROGRESS');
CREATE INDEX workitem_study ON workitem (study_uid, rev, attempt);
CREATE INDEX workitem_state ON workitem (state, changed, uid);

-- What became of items, for whoever subscribed. Old ones go.
CREATE TABLE workitem_event (
  id    INTEGER PRIMARY KEY,
  uid   TEXT   NOT NULL,
  kind  BIGINT NOT NULL, -- as PS3.4 Table CC.2.4-1 has them
  state TEXT   NOT NULL,
  ready BIGINT NOT NULL,
  actor TEXT   NOT NULL,
  text  TEXT   NOT NULL,
  body  TEXT   NOT NULL, -- of progress: DICOM JSON
  at    BIGINT NOT NULL
);
CREATE INDEX workitem_event_at ON workitem_event (at);

CREATE TABLE workitem_subscription (
  ae      TEXT   NOT NULL,
  target  TEXT   NOT NULL, -- an item, or a well-known instance
  owner   TEXT   NOT NULL,
  matching TEXT  NOT NULL, -- keys of a filtered one
  muted   BIGINT NOT NULL, -- an item that is not to be told of
  at      BIGINT NOT NULL,
  suspend BIGINT NOT NULL,
  PRIMARY KEY (ae, target)
);
