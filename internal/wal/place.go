package wal

import (
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"berth/internal/backup"
	"berth/internal/fault"
)

// place is where a server is replayed, and how: to be thrown away, or to stay.
type place struct {
	// data is the folder of its data; empty means one in the scratch folder.
	data string
	// taken is the newest timeline that it must not take.
	taken    uint32
	settings []string
}

// room refuses a volume that cannot hold what the base has.
func room(folder string, b *Base) error {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return fmt.Errorf("look at the new volume: %w", err)
	}
	const log = 256 << 20
	free, wanted := s.Bavail*uint64(s.Bsize), uint64(max(b.Object.PlainBytes, 0))+log
	if free < wanted {
		return fault.WithHint(fmt.Errorf("the new volume has %s free, and the server's files take %s", humanize.Bytes(free), humanize.Bytes(wanted)), noRoom)
	}
	return nil
}

// explain adds a hint to an error if a disk was too small.
func (p place) explain(s *backup.Scratch, err error) error {
	if p.data == "" || strings.HasPrefix(p.data, s.Folder) {
		return s.Explain(err)
	}
	if said := strings.ToLower(err.Error() + s.Log()); strings.Contains(said, "no space left on device") {
		return fault.WithHint(fmt.Errorf("the new volume is too small: %w", err), noRoom)
	}
	return err
}

const noRoom = "make room on the node, or restore by dump and load, for which the present volume needs the room"
