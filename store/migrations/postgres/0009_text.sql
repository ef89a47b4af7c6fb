-- What stands amid a text of a study. PostgreSQL's own index of runs of three
-- characters serves LIKE by itself; a server that does not have it, or does not
-- let this role make it, reads every study.
DO $$ BEGIN
  CREATE EXTENSION IF NOT EXISTS pg_trgm;
  CREATE INDEX study_name_inside        ON study USING gin (lower(patient_name) gin_trgm_ops);
  CREATE INDEX study_patient_inside     ON study USING gin (lower(patient_id) gin_trgm_ops);
  CREATE INDEX study_accession_inside   ON study USING gin (lower(accession) gin_trgm_ops);
EXCEPTION WHEN OTHERS THEN
  NULL;
END $$;
