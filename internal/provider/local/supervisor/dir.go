package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Dir is a supervisor's folder.
type Dir string

// Log is the file that a part's output goes to.
func (d Dir) Log(part string) string { return filepath.Join(string(d), "logs", part+".log") }

func (d Dir) spec() string              { return filepath.Join(string(d), "spec.json") }
func (d Dir) lock() string              { return filepath.Join(string(d), "lock") }
func (d Dir) record(part string) string { return filepath.Join(string(d), "run", part+".json") }
func (d Dir) active() string            { return d.record("supervisor") }
func (d Dir) standby() string           { return d.record("supervisor-standby") }

func tryLock(dir Dir) (*os.File, error) {
	lock, err := os.OpenFile(dir.lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open supervisor lock: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, fmt.Errorf("lock supervisor: %w", err)
	}
	return lock, nil
}

func readJSON(name string, into any) error {
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(content, into)
}

// writeJSON replaces a file in one step, so that a reader never sees half.
func writeJSON(name string, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return err
	}
	temporary := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, name)
}
