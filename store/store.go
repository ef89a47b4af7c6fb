// Package store keeps what must not be lost: the bytes of studies under keys,
// and the ledger of everything that happened to them.
//
//	objects.Open   a folder or an S3 bucket: bytes under keys, immutable and durable
//	OpenLedger     the SQL tables: studies, instances, jobs, results, reports, audit
//
// The objects are the truth for bytes and the ledger is the truth for state. The
// ledger is also the queue of record: a job is a row, and every step of a study
// is one transaction that holds the step, what follows from it, and its line in
// the audit. So a crash at any moment leaves rows that say what is still to do.
//
//	Receive                     an object is recorded; many callers share one fsync
//	Settle                      the study is whole: its plan becomes jobs
//	Claim, Started, Fail, Lose  a job on its way to a worker and back
//	FinishPart, Conclude        what a model found; the last part calls for the conclusion
//	Reported, Delivered         what was written about it and who has it
//	Worklist, Case              what a reader sees
//
// A [Ledger] has the methods of all its rooms. Who asks for one finds it there:
//
//	intake     objects, studies, priors, cases, searches, the plan
//	orders     what the hospital's systems say: orders, merges, reports
//	work       jobs, workers, pauses, mending
//	outbox     reports, deliveries, commitments, recalls
//	reading    the worklist, claims, answers, screenings, work items
//	registry   models, proposals, calibrations, affected exams
//	audit      the chain, tokens, preferences
//
// None of them calls another, but for intake, which asks orders what was said of a
// study that arrives: a step that several take is one of the room course, and how a
// row reads is said in row. A deed that reaches further, as a stop of a model does
// to its jobs and its deliveries, is one transaction of the room whose deed it is.
// Arrows fall:
//
//	store → intake → orders → course → audit → row → sqldb → migrations
//	        work, outbox, reading, registry → course
//
// objects stands by itself. This package itself knows them all, and so it holds what
// reaches over all tables: manifests, the rebuild from them, backup and sweep.
//
// The SQL is one text for every engine; what only SQLite understands is in
// sqldb/sqlite.go and migrations/sqlite.
package store
