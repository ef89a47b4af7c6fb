-- What sqlite/0014_manifests.sql says, in PostgreSQL's words.
CREATE TABLE manifest (
  name    TEXT COLLATE "C" PRIMARY KEY,
  changed BIGINT NOT NULL,
  kept    BIGINT NOT NULL
);
CREATE INDEX manifest_due ON manifest (changed) WHERE changed > kept;
INSERT INTO manifest (name, changed, kept) SELECT uid, 1, 0 FROM study WHERE settled_at > 0;
INSERT INTO manifest (name, changed, kept) VALUES ('house', 1, 0);

CREATE FUNCTION manifest_of(whose TEXT) RETURNS void LANGUAGE sql AS $$
  INSERT INTO manifest (name, changed, kept) VALUES (whose, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, 0)
    ON CONFLICT (name) DO UPDATE SET changed = GREATEST(manifest.changed + 1, excluded.changed);
$$;
CREATE FUNCTION manifest_uid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM manifest_of(new.uid); RETURN NULL;
END $$;
CREATE FUNCTION manifest_study_uid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM manifest_of(new.study_uid); RETURN NULL;
END $$;
CREATE FUNCTION manifest_delivery_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM manifest_of(study_uid) FROM delivery WHERE id = new.delivery_id; RETURN NULL;
END $$;
CREATE FUNCTION manifest_house() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM manifest_of('house'); RETURN NULL;
END $$;

CREATE TRIGGER manifest_study AFTER UPDATE ON study FOR EACH ROW
  WHEN (new.settled_at > 0 AND (old.status <> new.status OR old.rev <> new.rev OR old.opened_at <> new.opened_at OR old.read_at <> new.read_at
    OR old.waiting <> new.waiting OR old.class <> new.class OR old.place_key <> new.place_key OR old.deadline <> new.deadline
    OR old.priority <> new.priority OR old.note <> new.note OR old.conflicts <> new.conflicts OR old.patient_id <> new.patient_id
    OR old.issuer <> new.issuer OR old.patient_name <> new.patient_name OR old.birth <> new.birth OR old.sex <> new.sex
    OR old.accession <> new.accession)) EXECUTE FUNCTION manifest_uid();
CREATE TRIGGER manifest_result   AFTER INSERT ON result  FOR EACH ROW EXECUTE FUNCTION manifest_study_uid();
CREATE TRIGGER manifest_report   AFTER INSERT ON report  FOR EACH ROW EXECUTE FUNCTION manifest_study_uid();
CREATE TRIGGER manifest_delivery AFTER UPDATE ON delivery FOR EACH ROW WHEN (old.status <> new.status) EXECUTE FUNCTION manifest_study_uid();
CREATE TRIGGER manifest_owed     AFTER UPDATE ON owed    FOR EACH ROW WHEN (old.state <> new.state) EXECUTE FUNCTION manifest_delivery_id();
CREATE TRIGGER manifest_reading  AFTER INSERT ON reading FOR EACH ROW EXECUTE FUNCTION manifest_study_uid();
CREATE TRIGGER manifest_dispute  AFTER INSERT ON dispute FOR EACH ROW EXECUTE FUNCTION manifest_study_uid();
CREATE TRIGGER manifest_decision AFTER UPDATE ON dispute FOR EACH ROW EXECUTE FUNCTION manifest_study_uid();
CREATE TRIGGER manifest_prior    AFTER UPDATE ON prior   FOR EACH ROW WHEN (old.state <> new.state) EXECUTE FUNCTION manifest_study_uid();
CREATE TRIGGER manifest_model    AFTER INSERT ON model_change FOR EACH ROW EXECUTE FUNCTION manifest_house();
CREATE TRIGGER manifest_merge    AFTER INSERT OR UPDATE ON patient_merge FOR EACH ROW EXECUTE FUNCTION manifest_house();
