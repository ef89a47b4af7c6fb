-- What sqlite/0020_reading_manifest.sql says, in PostgreSQL's words.
CREATE TRIGGER manifest_step AFTER INSERT ON reading_step FOR EACH ROW EXECUTE FUNCTION manifest_study_uid();
