-- Whoever must not learn the AI's mind from a place is shown the day's studies in an order
-- of their own: those that wait are found by the day on which they came.
CREATE INDEX study_arrived ON study (class, received_at, uid) WHERE waiting = 1;
