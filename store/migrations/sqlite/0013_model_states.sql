-- Who changes what a model may do: the state that it left, the share of exams in
-- hundredths of a percent, and the second person where two are needed. installed
-- is 1 for what came with the program and no person decided.
ALTER TABLE model_change ADD COLUMN was       TEXT   NOT NULL DEFAULT '';
ALTER TABLE model_change ADD COLUMN share     BIGINT NOT NULL DEFAULT 10000;
ALTER TABLE model_change ADD COLUMN beside    BIGINT NOT NULL DEFAULT 0;
ALTER TABLE model_change ADD COLUMN second    TEXT   NOT NULL DEFAULT '';
ALTER TABLE model_change ADD COLUMN installed BIGINT NOT NULL DEFAULT 0;

-- A change that one person proposes and another decides on.
CREATE TABLE model_proposal (
  id            TEXT PRIMARY KEY,
  model_id      TEXT   NOT NULL,
  model_version TEXT   NOT NULL,
  model_sha256  BLOB   NOT NULL,
  was           TEXT   NOT NULL,
  state         TEXT   NOT NULL,
  share         BIGINT NOT NULL,
  beside        BIGINT NOT NULL,
  actor         TEXT   NOT NULL,
  reason        TEXT   NOT NULL,
  at            BIGINT NOT NULL,
  expires       BIGINT NOT NULL,
  status        TEXT   NOT NULL, -- open confirmed declined expired superseded
  decided_by    TEXT   NOT NULL,
  remark        TEXT   NOT NULL,
  decided_at    BIGINT NOT NULL
);
CREATE INDEX model_proposal_open ON model_proposal (at) WHERE status = 'open';

-- What lists of one model's exams and comparisons of two models are read from.
ALTER TABLE model_plan ADD COLUMN shadow BIGINT NOT NULL DEFAULT 0;
ALTER TABLE result ADD COLUMN code        TEXT             NOT NULL DEFAULT ''; -- of its reason
ALTER TABLE result ADD COLUMN probability DOUBLE PRECISION NOT NULL DEFAULT -1; -- -1: none
CREATE INDEX model_plan_model ON model_plan (model_id, model_version, model_sha256, study_uid, rev);
CREATE INDEX result_model     ON result (model_id, model_version, model_sha256, at, study_uid, rev);
CREATE INDEX report_model     ON report (model_id, model_version, model_sha256);
