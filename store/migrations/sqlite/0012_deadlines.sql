-- The studies whose deadline passes next, for they change class then.
CREATE INDEX study_deadline ON study (deadline) WHERE waiting = 1 AND opened_at = 0 AND deadline > 0;
