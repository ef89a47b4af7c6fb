-- What stands amid a text of a study, found by runs of three characters, so that
-- a search that begins with a wildcard need not read every study. Triggers keep
-- it. Rows have numbers of their own, for those of study may change.
CREATE TABLE study_key (id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE);
CREATE VIRTUAL TABLE study_text USING fts5 (patient_name, patient_id, accession, description, referring,
  tokenize = 'trigram', content = '', contentless_delete = 1);

INSERT INTO study_key (uid) SELECT uid FROM study ORDER BY received_at, uid;
INSERT INTO study_text (rowid, patient_name, patient_id, accession, description, referring)
  SELECT k.id, s.patient_name, s.patient_id, s.accession, s.description, s.referring FROM study s JOIN study_key k ON k.uid = s.uid;

CREATE TRIGGER study_text_comes AFTER INSERT ON study BEGIN
  INSERT INTO study_key (uid) VALUES (new.uid);
  INSERT INTO study_text (rowid, patient_name, patient_id, accession, description, referring)
    SELECT id, new.patient_name, new.patient_id, new.accession, new.description, new.referring FROM study_key WHERE uid = new.uid;
END;
CREATE TRIGGER study_text_goes AFTER DELETE ON study BEGIN
  DELETE FROM study_text WHERE rowid = (SELECT id FROM study_key WHERE uid = old.uid);
  DELETE FROM study_key WHERE uid = old.uid;
END;
CREATE TRIGGER study_text_changes AFTER UPDATE OF patient_name, patient_id, accession, description, referring ON study
  WHEN old.patient_name <> new.patient_name OR old.patient_id <> new.patient_id OR old.accession <> new.accession
    OR old.description <> new.description OR old.referring <> new.referring BEGIN
  DELETE FROM study_text WHERE rowid = (SELECT id FROM study_key WHERE uid = old.uid);
  INSERT INTO study_text (rowid, patient_name, patient_id, accession, description, referring)
    SELECT id, new.patient_name, new.patient_id, new.accession, new.description, new.referring FROM study_key WHERE uid = new.uid;
END;
