-- What is held waits for a person's decision. differs has both sides of each
-- fact, in JSON; evidence names them.
ALTER TABLE hold ADD COLUMN differs    TEXT   NOT NULL DEFAULT '';
ALTER TABLE hold ADD COLUMN told_at    BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hold ADD COLUMN state      TEXT   NOT NULL DEFAULT 'open'; -- open released discarded
ALTER TABLE hold ADD COLUMN decided_by TEXT   NOT NULL DEFAULT '';
ALTER TABLE hold ADD COLUMN reason     TEXT   NOT NULL DEFAULT '';
ALTER TABLE hold ADD COLUMN decided_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX hold_state ON hold (state, at, id);
