-- Which studies have changed since their manifest was written into the object
-- store, see Ledger.DueManifests. changed counts up and is about the time in
-- milliseconds; kept is what it was when the manifest was made. The name "house"
-- stands for what belongs to no study. Triggers keep it, and pass over what a
-- study goes through while it is received: its objects tell that.
CREATE TABLE manifest (
  name    TEXT PRIMARY KEY,
  changed BIGINT NOT NULL,
  kept    BIGINT NOT NULL
);
CREATE INDEX manifest_due ON manifest (changed) WHERE changed > kept;
INSERT INTO manifest (name, changed, kept) SELECT uid, 1, 0 FROM study WHERE settled_at > 0;
INSERT INTO manifest (name, changed, kept) VALUES ('house', 1, 0);

CREATE TRIGGER manifest_study AFTER UPDATE ON study
  WHEN new.settled_at > 0 AND (old.status <> new.status OR old.rev <> new.rev OR old.opened_at <> new.opened_at OR old.read_at <> new.read_at
    OR old.waiting <> new.waiting OR old.class <> new.class OR old.place_key <> new.place_key OR old.deadline <> new.deadline
    OR old.priority <> new.priority OR old.note <> new.note OR old.conflicts <> new.conflicts OR old.patient_id <> new.patient_id
    OR old.issuer <> new.issuer OR old.patient_name <> new.patient_name OR old.birth <> new.birth OR old.sex <> new.sex
    OR old.accession <> new.accession) BEGIN
  INSERT INTO manifest (name, changed, kept) VALUES (new.uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
CREATE TRIGGER manifest_result AFTER INSERT ON result BEGIN
  INSERT INTO manifest (name, changed, kept) VALUES (new.study_uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
CREATE TRIGGER manifest_report AFTER INSERT ON report BEGIN
  INSERT INTO manifest (name, changed, kept) VALUES (new.study_uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
CREATE TRIGGER manifest_delivery AFTER UPDATE ON delivery WHEN old.status <> new.status BEGIN
  INSERT INTO manifest (name, changed, kept) VALUES (new.study_uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
CREATE TRIGGER manifest_owed AFTER UPDATE ON owed WHEN old.state <> new.state BEGIN
  INSERT INTO manifest (name, changed, kept)
    SELECT study_uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0 FROM delivery WHERE id = new.delivery_id
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
CREATE TRIGGER manifest_reading AFTER INSERT ON reading BEGIN
  INSERT INTO manifest (name, changed, kept) VALUES (new.study_uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
CREATE TRIGGER manifest_dispute AFTER INSERT ON dispute BEGIN
  INSERT INTO manifest (name, changed, kept) VALUES (new.study_uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
CREATE TRIGGER manifest_decision AFTER UPDATE ON dispute BEGIN
  INSERT INTO manifest (name, changed, kept) VALUES (new.study_uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
CREATE TRIGGER manifest_prior AFTER UPDATE ON prior WHEN old.state <> new.state BEGIN
  INSERT INTO manifest (name, changed, kept) VALUES (new.study_uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
CREATE TRIGGER manifest_model AFTER INSERT ON model_change BEGIN
  UPDATE manifest SET changed = MAX(changed + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE name = 'house';
END;
CREATE TRIGGER manifest_merge AFTER INSERT ON patient_merge BEGIN
  UPDATE manifest SET changed = MAX(changed + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE name = 'house';
END;
CREATE TRIGGER manifest_merged AFTER UPDATE ON patient_merge BEGIN
  UPDATE manifest SET changed = MAX(changed + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)) WHERE name = 'house';
END;
