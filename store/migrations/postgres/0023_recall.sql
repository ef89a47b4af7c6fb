-- What a destination may have though it has not said so: a delivery was handed to it
-- once. Of older ones it is known only that they were tried.
ALTER TABLE delivery ADD COLUMN handed BIGINT NOT NULL DEFAULT 0;
UPDATE delivery SET handed = 1 WHERE tries > 0 AND status NOT IN ('delivered', 'sent');

-- An object of ours that was rejected is found no more, and its bytes stay. The
-- counts of its series go without it.
ALTER TABLE instance ADD COLUMN rejected BIGINT NOT NULL DEFAULT 0;
DROP TRIGGER instance_comes_and_goes ON instance;
CREATE TRIGGER instance_comes AFTER INSERT ON instance
  FOR EACH ROW WHEN (new.rejected = 0) EXECUTE FUNCTION instance_counts();
CREATE TRIGGER instance_goes AFTER DELETE ON instance
  FOR EACH ROW WHEN (old.rejected = 0) EXECUTE FUNCTION instance_counts();
CREATE FUNCTION instance_hidden() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE series SET instances = instances - 1 WHERE study_uid = old.study_uid AND uid = old.series_uid;
  DELETE FROM series WHERE study_uid = old.study_uid AND uid = old.series_uid AND instances = 0;
  RETURN NULL;
END $$;
CREATE TRIGGER instance_rejected AFTER UPDATE OF rejected ON instance
  FOR EACH ROW WHEN (old.rejected = 0 AND new.rejected = 1) EXECUTE FUNCTION instance_hidden();

-- How each destination fares: when it last took something, and since when it does not.
CREATE TABLE destination (
  name  TEXT COLLATE "C" PRIMARY KEY,
  ok_at BIGINT NOT NULL, -- 0: never
  since BIGINT NOT NULL, -- 0: the last try went well
  error TEXT COLLATE "C" NOT NULL
);
