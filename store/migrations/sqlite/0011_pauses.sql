-- What is not given to workers until somebody resumes it: a lane of a pool. An
-- empty pool is every pool, lane -1 every lane.
CREATE TABLE pause (
  pool   TEXT   NOT NULL,
  lane   BIGINT NOT NULL,
  actor  TEXT   NOT NULL,
  reason TEXT   NOT NULL,
  at     BIGINT NOT NULL,
  PRIMARY KEY (pool, lane)
) WITHOUT ROWID;

-- What the last blocks of a model took in a pool, the latest counting most: by
-- these two sums the work that waits is told in seconds.
CREATE TABLE pace (
  pool          TEXT   NOT NULL,
  model_id      TEXT   NOT NULL,
  model_version TEXT   NOT NULL,
  model_sha256  BLOB   NOT NULL,
  tiles         DOUBLE PRECISION NOT NULL,
  seconds       DOUBLE PRECISION NOT NULL,
  at            BIGINT NOT NULL,
  PRIMARY KEY (pool, model_id, model_version, model_sha256)
) WITHOUT ROWID;
