-- How far an examination is in its screening program: one row a state of a study,
-- from the first answer on.
CREATE TABLE screening (
  study_uid  TEXT   NOT NULL REFERENCES study (uid),
  rev        BIGINT NOT NULL,
  plan       TEXT   NOT NULL, -- JSON: as it was at the first answer
  state      TEXT   NOT NULL, -- second consensus recalled not_recalled
  look       TEXT   NOT NULL, -- of the second look at what the AI alone found: open done, or empty
  decided_at BIGINT NOT NULL,
  PRIMARY KEY (study_uid, rev)
);
CREATE INDEX screening_state ON screening (state, study_uid) WHERE state IN ('second', 'consensus');
CREATE INDEX screening_look ON screening (study_uid) WHERE look = 'open';

-- What was said in a screening, by whom and when. Rows are never changed.
CREATE TABLE screening_read (
  id        INTEGER PRIMARY KEY,
  study_uid TEXT   NOT NULL,
  rev       BIGINT NOT NULL,
  turn      TEXT   NOT NULL, -- first second third meeting look
  reader    TEXT   NOT NULL,
  recall    BIGINT NOT NULL,
  body      TEXT   NOT NULL, -- JSON: the words, who else was there, what of the AI they had been shown
  at        BIGINT NOT NULL,
  UNIQUE (study_uid, rev, turn),
  FOREIGN KEY (study_uid, rev) REFERENCES screening (study_uid, rev)
);
CREATE INDEX screening_read_reader ON screening_read (reader, study_uid, rev);
