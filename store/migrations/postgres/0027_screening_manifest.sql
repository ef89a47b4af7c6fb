-- What sqlite/0027_screening_manifest.sql says, in PostgreSQL's words.
CREATE TRIGGER manifest_screening AFTER INSERT OR UPDATE ON screening FOR EACH ROW EXECUTE FUNCTION manifest_study_uid();
CREATE TRIGGER manifest_screening_read AFTER INSERT ON screening_read FOR EACH ROW EXECUTE FUNCTION manifest_study_uid();
