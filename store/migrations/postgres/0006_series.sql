-- What a search counts and matches of a series, so that it need not count its
-- instances. Triggers keep it: whoever writes instances need not know of it.
-- received_at is the study's, and never changes.
CREATE TABLE series (
  study_uid   TEXT COLLATE "C" NOT NULL REFERENCES study (uid),
  uid         TEXT COLLATE "C" NOT NULL,
  modality    TEXT COLLATE "C" NOT NULL,
  number      BIGINT NOT NULL,
  text        TEXT COLLATE "C" NOT NULL,
  instances   BIGINT NOT NULL, -- our own reports among them
  received_at BIGINT NOT NULL,
  PRIMARY KEY (study_uid, uid)
);
INSERT INTO series (study_uid, uid, modality, number, text, instances, received_at)
  SELECT i.study_uid, i.series_uid, MIN(i.modality), MIN(i.series_number), MIN(i.series_text), COUNT(*), MIN(s.received_at)
  FROM instance i JOIN study s ON s.uid = i.study_uid GROUP BY i.study_uid, i.series_uid;
CREATE INDEX series_modality ON series (modality, received_at, study_uid);
CREATE INDEX series_uid      ON series (uid);

CREATE FUNCTION instance_counts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    UPDATE series SET instances = instances - 1 WHERE study_uid = old.study_uid AND uid = old.series_uid;
    DELETE FROM series WHERE study_uid = old.study_uid AND uid = old.series_uid AND instances = 0;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO series AS s (study_uid, uid, modality, number, text, instances, received_at)
      SELECT new.study_uid, new.series_uid, new.modality, new.series_number, new.series_text, 1, received_at
      FROM study WHERE uid = new.study_uid
      ON CONFLICT (study_uid, uid) DO UPDATE SET instances = s.instances + 1;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER instance_comes_and_goes AFTER INSERT OR DELETE ON instance
  FOR EACH ROW EXECUTE FUNCTION instance_counts();
CREATE TRIGGER instance_moves AFTER UPDATE OF study_uid, series_uid ON instance
  FOR EACH ROW EXECUTE FUNCTION instance_counts();

CREATE INDEX study_date ON study (study_date, received_at, uid);
CREATE INDEX study_name ON study (lower(patient_name), received_at, uid);
