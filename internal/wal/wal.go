// Package wal keeps the write-ahead log of a PostgreSQL server in a bucket as it is
// written, and brings a database back to a moment.
//
// A [Stream] runs PostgreSQL's pg_receivewal on a replication slot. It uploads complete
// segments, and about every second a piece of the segment that is being filled.
// [Archive.Base] runs pg_basebackup into the bucket. A base and the segments after it,
// up to the first gap, make a [Window]: any moment in it can be restored.
// [Archive.Replay] replays the log in a scratch server, and [Archive.Moment] makes an
// ordinary backup of that server, which package backup restores like any other.
// [Archive.Fill] makes the data that a new server starts on.
//
// The log of one server on one timeline is a [Chain]; a new server starts a new one.
// The objects of a chain lie beside the backups, below wal/<system identifier>-<timeline>/:
//
//	base-<id>.json             a base's server, start and end
//	base-<id>.tar.zst[.age]    pg_basebackup's tar, its backup_manifest inside
//	base-<id>.verified.json    the result of replaying it to the end
//	<segment>.zst[.age]        a segment
//	<segment>.<offset>.zst[.age]  a piece of one that was not complete yet
//	stream.json                how far the stream is
//	origin.json                which base and moment a server was made of, if it was
//
// All are compressed, and encrypted if dumps are.
package wal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"berth/internal/backup"
)

// An Archive is the log in a job's bucket.
type Archive struct{ Job *backup.Job }

// root is where all chains lie in the bucket.
const root = "wal/"

var (
	// ErrNoWindow is in the chain when a moment cannot be reached.
	ErrNoWindow = errors.New("this moment cannot be reached")
	// ErrShort is in the chain when a replay ended before it should.
	ErrShort = errors.New("the log ends earlier")
)

// An LSN is a position in the write-ahead log.
type LSN uint64

// ParseLSN reads one as PostgreSQL writes it: 16/B374D848.
func ParseLSN(text string) (LSN, error) {
	high, low, ok := strings.Cut(text, "/")
	h, err := strconv.ParseUint(high, 16, 32)
	l, lowErr := strconv.ParseUint(low, 16, 32)
	if err = errors.Join(err, lowErr); !ok || err != nil {
		return 0, fmt.Errorf("%q is not a position in the write-ahead log", text)
	}
	return LSN(h<<32 | l), nil
}

func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint64(l)>>32, uint64(l)&0xffffffff) }

// MarshalText writes the position as PostgreSQL does.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads it.
func (l *LSN) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLSN(string(text))
	return err
}

// A segment is a file of the log by its number; all segments of a server are of one
// size. See PostgreSQL's XLogFileName.
type segment uint64

func segmentOf(at LSN, size int64) segment { return segment(uint64(at) / uint64(size)) }

func (s segment) name(timeline uint32, size int64) string {
	each := uint64(1<<32) / uint64(size)
	return fmt.Sprintf("%08X%08X%08X", timeline, uint64(s)/each, uint64(s)%each)
}

// parseSegment reads the number from a name of 24 hexadecimal digits.
func parseSegment(name string, size int64) segment {
	high, err := strconv.ParseUint(name[8:16], 16, 32)
	low, lowErr := strconv.ParseUint(name[16:24], 16, 32)
	if errors.Join(err, lowErr) != nil {
		return 0 // The caller has matched it.
	}
	return segment(high*(uint64(1<<32)/uint64(size)) + low)
}

// A server is what a session is told of the one it is connected to.
type server struct {
	system   string
	timeline uint32
	now      time.Time
	flushed  LSN
	segment  int64
	version  string
	major    int
	super    string // the superuser that initdb made
	// user is who asks, and replicates whether that one may.
	user       string
	replicates bool
	slot       *slot
}

// slot is what keeps the log on the server until the stream has it.
type slot struct {
	restart LSN
	lost    bool
	active  bool // somebody receives
}

// chain is the name of the server's chain.
func (s server) chain() string { return fmt.Sprintf("%s-%d", s.system, s.timeline) }

// look asks a server for all of that; anybody who may connect may ask.
func look(ctx context.Context, c *pgx.Conn, slotName string) (s server, err error) {
	var flushed string
	var restart, status *string
	var active *bool
	err = c.QueryRow(ctx, `
		SELECT (SELECT system_identifier::text FROM pg_control_system()), (SELECT timeline_id FROM pg_control_checkpoint()),
			clock_timestamp(), pg_current_wal_flush_lsn()::text, (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'),
			current_setting('server_version'), current_setting('server_version_num')::int / 10000,
			(SELECT rolname FROM pg_roles WHERE oid = 10),
			current_user, (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user),
			s.restart_lsn::text, s.wal_status, s.active
		FROM (VALUES (1)) one LEFT JOIN pg_replication_slots s ON s.slot_name = $1`, slotName).
		Scan(&s.system, &s.timeline, &s.now, &flushed, &s.segment, &s.version, &s.major, &s.super, &s.user, &s.replicates, &restart, &status, &active)
	if err != nil {
		return s, fmt.Errorf("ask the server for its log: %w", err)
	}
	if s.flushed, err = ParseLSN(flushed); err != nil {
		return s, err
	}
	if status != nil {
		s.slot = &slot{lost: *status == "lost" || restart == nil, active: *active}
		if restart != nil {
			s.slot.restart, err = ParseLSN(*restart)
		}
	}
	return s, err
}
