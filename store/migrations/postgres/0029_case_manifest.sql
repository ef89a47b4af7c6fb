-- What sqlite/0029_case_manifest.sql says, in PostgreSQL's words.
CREATE TRIGGER manifest_case_wait AFTER INSERT OR UPDATE ON case_wait FOR EACH ROW EXECUTE FUNCTION manifest_study_uid();
CREATE TRIGGER manifest_slide_view AFTER INSERT ON slide_view FOR EACH ROW EXECUTE FUNCTION manifest_study_uid();
