-- What a case of slides waits for: a slide to be scanned again, another stain, slides
-- that are still to come. A row is ended by the slide that comes, or by a person.
CREATE TABLE case_wait (
  id        INTEGER PRIMARY KEY,
  study_uid TEXT   NOT NULL REFERENCES study (uid),
  kind      TEXT   NOT NULL, -- rescan stain slides
  reason    TEXT   NOT NULL, -- of a rescan: focus tissue artifact staining coverslip label other
  slide     TEXT   NOT NULL, -- series UID of the slide that is to be scanned again; empty when none is named
  container TEXT   NOT NULL, -- as on that slide's label
  body      TEXT   NOT NULL, -- which stain, or a remark
  asked_by  TEXT   NOT NULL,
  asked_at  BIGINT NOT NULL,
  ended_at  BIGINT NOT NULL, -- 0 while it is open
  ended_by  TEXT   NOT NULL,
  ended_why TEXT   NOT NULL
);
CREATE INDEX case_wait_study ON case_wait (study_uid, id);
CREATE INDEX case_wait_open ON case_wait (study_uid) WHERE ended_at = 0;

-- Which slides a reader has opened, and when first.
CREATE TABLE slide_view (
  study_uid  TEXT   NOT NULL REFERENCES study (uid),
  series_uid TEXT   NOT NULL,
  reader     TEXT   NOT NULL,
  at         BIGINT NOT NULL,
  PRIMARY KEY (study_uid, series_uid, reader)
) WITHOUT ROWID;
