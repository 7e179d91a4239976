package wal

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"berth/internal/backup"
)

// A Base is a copy of all files of a server, from which its log is replayed.
type Base struct {
	ID    string `json:"id"`
	Chain string `json:"chain"`
	Tool  string `json:"tool"`
	// Started and Finished are by the server's clock.
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// Start and End are the log without which the copy is none.
	Start         LSN           `json:"start"`
	End           LSN           `json:"end"`
	Timeline      uint32        `json:"timeline"`
	SegmentBytes  int64         `json:"segmentBytes"`
	ServerVersion string        `json:"serverVersion"`
	Superuser     string        `json:"superuser"`
	Object        backup.Object `json:"object"`
	// Databases are the sizes of the server's databases; nil in those of an older
	// program.
	Databases  map[string]int64 `json:"databases,omitempty"`
	Recipients []string         `json:"recipients,omitempty"`

	Verified *Verification `json:"-"`
}

// A Verification is the result of replaying the log from a base to its end.
type Verification struct {
	ID   string    `json:"id"`
	OK   bool      `json:"ok"`
	Time time.Time `json:"time"`
	// Reached is up to where it was replayed.
	Reached time.Time `json:"reached"`
	// Seconds is how long all took, Replay how long the replaying.
	Seconds float64 `json:"seconds"`
	Replay  float64 `json:"replay"`
	Problem string  `json:"problem,omitempty"`
}

func (b *Base) damaged() bool { return b.Verified != nil && !b.Verified.OK }

// validate refuses what cannot be, and what names other objects than its own.
func (b *Base) validate(chain, id string) error {
	if b.ID != id || b.Chain != chain || !strings.HasPrefix(b.Object.Name, b.name(".tar.zst")) ||
		b.SegmentBytes < 1<<20 || b.SegmentBytes > 1<<30 || b.SegmentBytes&(b.SegmentBytes-1) != 0 || b.End <= b.Start || b.Timeline == 0 {
		return fmt.Errorf("%w: the manifest of base %s", backup.ErrDamaged, id)
	}
	return nil
}

// name is what an object of the base is called.
func (b *Base) name(suffix string) string { return root + b.Chain + "/base-" + b.ID + suffix }

// system is the identifier of the server that a base is of.
func (b *Base) system() string {
	system, _, _ := strings.Cut(b.Chain, "-")
	return system
}

// Holds is the size of the application's database when the base was made, and the names of
// all if there were several. Where that is not known, it is the size of all there was.
func (b *Base) Holds() (bytes int64, several []string) {
	if b.Databases == nil {
		return b.Object.PlainBytes, nil
	}
	bytes = b.Databases["postgres"]
	for name, size := range b.Databases {
		if name == "postgres" || name == "template0" || name == "template1" || keptName.MatchString(name) {
			continue
		}
		several = append(several, name)
		bytes = size
	}
	if len(several) == 1 {
		return bytes, nil
	}
	slices.Sort(several)
	return bytes, several
}

// keptName is what databases are called that a restore has kept, or was killed in.
var keptName = regexp.MustCompile(`_(before|restore)_\d{8}_\d{6}_[0-9a-f]{4}$`)

// Version is the major version of the server that the base is of.
func (b *Base) Version() int { return majorOf(b.ServerVersion) }

// majorOf reads the major number of a version such as "17.5 (Debian 17.5-1)".
func majorOf(version string) (major int) {
	_, _ = fmt.Sscanf(leadingNumber.FindString(version), "%d", &major) // 0 stands for any.
	return major
}

var leadingNumber = regexp.MustCompile(`^\d+`)
