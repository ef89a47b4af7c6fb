-- How each person likes the pages, by the name that they sign in under.
CREATE TABLE preference (
  name TEXT PRIMARY KEY,
  body TEXT   NOT NULL, -- JSON
  at   BIGINT NOT NULL
);

-- What was done to one study or model, and what one person did.
CREATE INDEX audit_entity ON audit (entity, n);
CREATE INDEX audit_actor  ON audit (actor, n);
