-- What a site's labelled cases made of a model's number. Rows are never changed:
-- the latest one holds. One without a file says that none holds any more.
CREATE TABLE calibration (
  id            INTEGER PRIMARY KEY,
  model_id      TEXT   NOT NULL,
  model_version TEXT   NOT NULL,
  model_sha256  BLOB   NOT NULL,
  sha256        BLOB   NOT NULL, -- of file
  file          BLOB   NOT NULL,
  actor         TEXT   NOT NULL,
  reason        TEXT   NOT NULL,
  at            BIGINT NOT NULL
);
CREATE INDEX calibration_model ON calibration (model_id, model_version, model_sha256, id);
