-- What readers did with a study belongs to its manifest.
CREATE TRIGGER manifest_step AFTER INSERT ON reading_step BEGIN
  INSERT INTO manifest (name, changed, kept) VALUES (new.study_uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
