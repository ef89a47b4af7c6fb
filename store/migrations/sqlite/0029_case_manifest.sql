-- What a case waits for, and which of its slides were opened, belongs to the study's
-- manifest.
CREATE TRIGGER manifest_case_wait AFTER INSERT ON case_wait BEGIN
  INSERT INTO manifest (name, changed, kept) VALUES (new.study_uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
CREATE TRIGGER manifest_case_wait_ends AFTER UPDATE ON case_wait BEGIN
  INSERT INTO manifest (name, changed, kept) VALUES (new.study_uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
CREATE TRIGGER manifest_slide_view AFTER INSERT ON slide_view BEGIN
  INSERT INTO manifest (name, changed, kept) VALUES (new.study_uid, CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)
    ON CONFLICT (name) DO UPDATE SET changed = MAX(manifest.changed + 1, excluded.changed);
END;
