package rehearsal

import (
	"time"

	"berth/internal/rollout"
)

// Report is what a rehearsal has found.
type Report struct {
	Environment string `json:"environment"`
	// Good says that the release may go to the environment; Reasons say why not.
	Good    bool     `json:"good"`
	Reasons []Reason `json:"reasons,omitempty"`
	// Remarks are what is worth knowing and no reason against it.
	Remarks []string `json:"remarks,omitempty"`

	// New and Present are the images: the one to be released and the one that serves.
	New     string `json:"new"`
	Present string `json:"present,omitempty"`
	// Backup is what the copy was made of.
	Backup  Backup  `json:"backup"`
	Phases  []Phase `json:"phases"`
	Seconds float64 `json:"seconds"`

	// Release is what became of the release command; nil where there is none.
	Release *Release `json:"release,omitempty"`
	// Schema is what the migration changed of it.
	Schema Changes `json:"schema"`
	// Tables are those whose rows it changed.
	Tables []Table `json:"tables,omitempty"`
	// Writes are those that were taken before, and are not or otherwise now.
	Writes []Write `json:"writes,omitempty"`
	// Locks are those that it held for longer than [longLock].
	Locks []Lock `json:"locks,omitempty"`
	Disk  Disk   `json:"disk"`

	// NewHealth and PresentHealth say how the images are on the migrated copy.
	NewHealth     Health `json:"newHealth"`
	PresentHealth Health `json:"presentHealth"`
	// Answers are those to the environment's own requests.
	Answers []Answer `json:"answers,omitempty"`
}

// Kind is what a reason is about.
type Kind string

// The kinds of reasons against a release.
const (
	ReleaseCommand Kind = "release command"
	LostRows       Kind = "lost rows"
	HeldLock       Kind = "held lock"
	NoRoom         Kind = "no room"
	Unhealthy      Kind = "unhealthy"
	NoWayBack      Kind = "no way back"
	RefusedWrite   Kind = "refused write"
	WrongAnswer    Kind = "wrong answer"
	SlowAnswer     Kind = "slow answer"
)

// Reason is one thing that speaks against a release.
type Reason struct {
	Kind Kind   `json:"kind"`
	Text string `json:"text"`
	// Evidence are the pods that failed, with their logs.
	Evidence []rollout.Reason `json:"evidence,omitempty"`
}

// Backup is a backup that a copy was made of.
type Backup struct {
	ID    string    `json:"id"`
	Of    time.Time `json:"of"`
	Rows  int64     `json:"rows"`
	Bytes int64     `json:"bytes"`
}

// Phase is a part of a rehearsal and how long it took.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Release is a run of the release command.
type Release struct {
	Seconds float64 `json:"seconds"`
	OK      bool    `json:"ok"`
	// Why it failed, as its pod says.
	Why []rollout.Reason `json:"why,omitempty"`
}

// Health says whether an image serves on the migrated copy.
type Health struct {
	OK bool `json:"ok"`
	// Asked is false where nothing answers requests, or it did not come to that.
	Asked bool             `json:"asked"`
	Why   []rollout.Reason `json:"why,omitempty"`
}

// Table is a table whose rows changed.
type Table struct {
	Name string `json:"name"`
	// Was is its name before, where that was another.
	Was string `json:"was,omitempty"`
	// Of is the partitioned table that it is a partition of.
	Of string `json:"of,omitempty"`
	// Before and After are its rows; -1 where it was not there.
	Before int64 `json:"before"`
	After  int64 `json:"after"`
	// The rows that were written, by statement; PostgreSQL alone counts them.
	Inserted int64 `json:"inserted,omitempty"`
	Updated  int64 `json:"updated,omitempty"`
	Deleted  int64 `json:"deleted,omitempty"`
	// Unlogged says that its rows are in no write-ahead log any more: they are gone after a
	// crash, and in no backup that goes by the log.
	Unlogged bool `json:"unlogged,omitempty"`
	// Rewritten says that all of it was rewritten, which takes as much room again.
	Rewritten bool `json:"rewritten,omitempty"`
}

// Write is what becomes of rows that are written to a table as they were before.
type Write struct {
	Table string `json:"table"`
	// Refused is PostgreSQL's word for why one is not taken, Deletes the tables that lose
	// rows by one.
	Refused string   `json:"refused,omitempty"`
	Deletes []string `json:"deletes,omitempty"`
}

// Lock is how long a lock of a table was held that keeps others from it.
type Lock struct {
	Table string `json:"table"`
	// Mode is PostgreSQL's: AccessExclusiveLock.
	Mode    string  `json:"mode"`
	Seconds float64 `json:"seconds"`
	// Rows are those of the table.
	Rows int64 `json:"rows"`
}

// Disk is the room that the database takes, in bytes.
type Disk struct {
	Before int64 `json:"before"`
	// Peak is the most that it took, After what it takes since.
	Peak  int64 `json:"peak"`
	After int64 `json:"after"`
	// Log is what was written to the write-ahead log.
	Log int64 `json:"log,omitempty"`
	// Volume is how large the environment's own volume is; 0 where that is not known.
	Volume int64 `json:"volume,omitempty"`
}

// Answer is how the images answer a request of the environment's.
type Answer struct {
	Path string `json:"path"`
	// Times is how often it was asked for within the last hour.
	Times int `json:"times"`
	// Before is the present image's answer before the migration, Present the one after
	// it, New that of the new image.
	Before  Reply `json:"before"`
	Present Reply `json:"present"`
	New     Reply `json:"new"`
}

// Reply is the answer of one image to one request.
type Reply struct {
	// Status is 0 where there was no answer.
	Status int `json:"status"`
	// Milliseconds of the quickest of a few.
	Milliseconds float64 `json:"milliseconds"`
}

// failed reports whether it is no answer that a user could do with.
func (r Reply) failed() bool { return r.Status == 0 || r.Status >= 500 }

// inPublic is a name for people: the schema public goes without saying.
func inPublic(schema, name string) string {
	if schema == "public" {
		return name
	}
	return schema + "." + name
}
