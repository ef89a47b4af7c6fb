-- What a destination may have though it has not said so: a delivery was handed to it
-- once. Of older ones it is known only that they were tried.
ALTER TABLE delivery ADD COLUMN handed BIGINT NOT NULL DEFAULT 0;
UPDATE delivery SET handed = 1 WHERE tries > 0 AND status NOT IN ('delivered', 'sent');

-- An object of ours that was rejected is found no more, and its bytes stay. The
-- counts of its series go without it.
ALTER TABLE instance ADD COLUMN rejected BIGINT NOT NULL DEFAULT 0;
DROP TRIGGER instance_comes;
DROP TRIGGER instance_goes;
CREATE TRIGGER instance_comes AFTER INSERT ON instance WHEN new.rejected = 0 BEGIN
  INSERT INTO series (study_uid, uid, modality, number, text, instances, received_at)
    SELECT new.study_uid, new.series_uid, new.modality, new.series_number, new.series_text, 1, received_at
    FROM study WHERE uid = new.study_uid
    ON CONFLICT (study_uid, uid) DO UPDATE SET instances = instances + 1;
END;
CREATE TRIGGER instance_goes AFTER DELETE ON instance WHEN old.rejected = 0 BEGIN
  UPDATE series SET instances = instances - 1 WHERE study_uid = old.study_uid AND uid = old.series_uid;
  DELETE FROM series WHERE study_uid = old.study_uid AND uid = old.series_uid AND instances = 0;
END;
CREATE TRIGGER instance_rejected AFTER UPDATE OF rejected ON instance WHEN old.rejected = 0 AND new.rejected = 1 BEGIN
  UPDATE series SET instances = instances - 1 WHERE study_uid = old.study_uid AND uid = old.series_uid;
  DELETE FROM series WHERE study_uid = old.study_uid AND uid = old.series_uid AND instances = 0;
END;

-- How each destination fares: when it last took something, and since when it does not.
CREATE TABLE destination (
  name  TEXT   PRIMARY KEY,
  ok_at BIGINT NOT NULL, -- 0: never
  since BIGINT NOT NULL, -- 0: the last try went well
  error TEXT   NOT NULL
) WITHOUT ROWID;
