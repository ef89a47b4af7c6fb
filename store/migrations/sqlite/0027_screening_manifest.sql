-- What was said in a screening belongs to the study's manifest.
CREATE TRIGGER manifest_screening AFTER INSERT ON screening BEGIN
  INSERT INTO manifest (name, changed, kept) VALUES (new.study_uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
CREATE TRIGGER manifest_screening_moves AFTER UPDATE ON screening BEGIN
  INSERT INTO manifest (name, changed, kept) VALUES (new.study_uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
CREATE TRIGGER manifest_screening_read AFTER INSERT ON screening_read BEGIN
  INSERT INTO manifest (name, changed, kept) VALUES (new.study_uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
