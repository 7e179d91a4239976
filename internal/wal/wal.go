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
//	restored.json              when a backup was restored into a server, if one was
//
// All are compressed, and encrypted if dumps are.
package wal

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

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
