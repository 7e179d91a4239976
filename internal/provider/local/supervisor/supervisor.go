// Package supervisor keeps the processes ("parts") of a local cluster running, on
// machines without systemd too. It starts parts, restarts those that die, and writes
// the output of each to its own file.
//
// The wanted parts are in a file, spec.json, which [Apply] replaces and the
// supervisor watches. Parts are recorded by process id and start time, so a
// restarted supervisor adopts the running ones, and its death disturbs nothing. The
// active supervisor keeps a standby, which waits for the first one's lock and takes
// over within milliseconds. After either is killed, there are two again.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Part is one process to keep running.
type Part struct {
	Name string   `json:"name"`
	Args []string `json:"args"` // Args[0] is the program's absolute path.
	// Env is the whole environment. It may hold secrets; the files of a
	// supervisor are 0600.
	Env []string `json:"env,omitempty"`
}

// spec is what the supervisor is to do, as its file says.
type spec struct {
	Parts []Part `json:"parts"`
	// Stop ends the supervisor after its parts.
	Stop bool `json:"stop,omitempty"`
}

const (
	pollInterval = 200 * time.Millisecond // how soon a new spec is noticed
	logInterval  = 10 * time.Second       // how often the logs' sizes are looked at
	stopGrace    = 20 * time.Second       // from SIGTERM to SIGKILL
	settled      = 10 * time.Second       // a part that ran this long starts again at once
	maxBackoff   = 5 * time.Second
	maxLog       = 64 << 20 // bytes; the one before is kept as .1
)

// Apply sets the parts that the supervisor of dir keeps running: it starts new
// ones, stops removed ones and restarts changed ones. If no supervisor is running,
// it starts one, the command in argv. When Apply returns, removed and changed parts
// have ended; parts come up after that.
func Apply(dir Dir, parts []Part, argv []string) error {
	for _, file := range []string{dir.record(""), dir.Log("")} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return fmt.Errorf("make supervisor folder: %w", err)
		}
	}
	before, err := Parts(dir)
	if err != nil {
		return fmt.Errorf("read supervisor spec: %w", err)
	}
	if err := writeJSON(dir.spec(), spec{Parts: parts}); err != nil {
		return fmt.Errorf("write supervisor spec: %w", err)
	}
	if err := ensure(dir, argv); err != nil {
		return err
	}
	// Else the old ones would still answer a caller who waits for the new.
	return awaitEnd(dir, slices.DeleteFunc(before, func(old Part) bool {
		return slices.ContainsFunc(parts, func(wanted Part) bool { return reflect.DeepEqual(wanted, old) })
	}))
}

// awaitEnd waits until none of the parts runs as it is described.
func awaitEnd(dir Dir, parts []Part) error {
	for deadline := time.Now().Add(time.Duration(len(parts)+1) * stopGrace); ; time.Sleep(pollInterval / 10) {
		parts = slices.DeleteFunc(parts, func(part Part) bool {
			now, alive := recorded(dir.record(part.Name))
			return !alive || now.Part == nil || !reflect.DeepEqual(*now.Part, part)
		})
		if len(parts) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the supervisor does not stop %s", parts[0].Name)
		}
	}
}

// ensure starts a supervisor where none runs.
func ensure(dir Dir, argv []string) error {
	for deadline := time.Now().Add(stopGrace); ; time.Sleep(pollInterval / 10) {
		lock, err := tryLock(dir)
		if err != nil {
			return err
		}
		if lock != nil {
			lock.Close()
			return spawn(dir, argv)
		}
		if Running(dir, "supervisor") || Running(dir, "supervisor-standby") {
			return nil // it will read the spec
		}
		// One that was killed holds the lock until its last thread is gone.
		if time.Now().After(deadline) {
			return fmt.Errorf("the supervisor's lock, %s, is held, but no supervisor runs", dir.lock())
		}
	}
}

// Parts returns what the supervisor of dir was last told to keep running.
func Parts(dir Dir) ([]Part, error) {
	var s spec
	err := readJSON(dir.spec(), &s)
	if errors.Is(err, fs.ErrNotExist) || s.Stop {
		return nil, nil
	}
	return s.Parts, err
}

// Running reports whether the part runs now.
func Running(dir Dir, part string) bool {
	_, alive := recorded(dir.record(part))
	return alive
}

// PID is the process of a part, if it runs now.
func PID(dir Dir, part string) (pid int, ok bool) {
	found, alive := recorded(dir.record(part))
	return found.PID, alive
}

// Stop ends all parts of dir, in the reverse of their order, and then the
// supervisor. It does so itself when no supervisor is left to do it.
func Stop(ctx context.Context, dir Dir) error {
	if _, err := os.Stat(dir.spec()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	parts, err := Parts(dir)
	if err != nil {
		return fmt.Errorf("read supervisor spec: %w", err)
	}
	if err := writeJSON(dir.spec(), spec{Parts: parts, Stop: true}); err != nil {
		return fmt.Errorf("write supervisor spec: %w", err)
	}
	for {
		lock, err := tryLock(dir)
		if err != nil {
			return err
		}
		if lock != nil {
			defer lock.Close()
			// Either the supervisor has done it, and there is nothing left
			// to adopt, or it is dead.
			return (&supervisor{dir: dir, log: slog.New(slog.DiscardHandler)}).run(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the supervisor to stop: %w", ctx.Err())
		case <-time.After(pollInterval):
		}
	}
}

// Run is the supervisor's process: it waits until no other supervisor of dir is
// alive, then supervises until the spec says stop. The command in argv is this
// one, for its standby. Meanwhile it calls beside, unless it is nil; that must
// return when its context ends.
func Run(ctx context.Context, dir Dir, argv []string, beside func(context.Context)) error {
	lock, err := os.OpenFile(dir.lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open supervisor lock: %w", err)
	}
	defer lock.Close()
	if err := record(dir.standby(), os.Getpid()); err != nil {
		return err
	}
	for { // the kernel gives up the lock with its holder's last breath
		if err = unix.Flock(int(lock.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock supervisor: %w", err)
	}
	if err := record(dir.active(), os.Getpid()); err != nil {
		return err
	}
	s := &supervisor{dir: dir, argv: argv, log: slog.New(slog.NewJSONHandler(os.Stderr, nil))}
	besideCtx, end := context.WithCancel(ctx)
	var others sync.WaitGroup
	if beside != nil {
		others.Go(func() { beside(besideCtx) })
	}
	err = s.run(ctx)
	end()
	others.Wait() // before the lock is free
	return err
}

type supervisor struct {
	dir  Dir
	argv []string // of a standby; none when empty
	log  *slog.Logger

	parts []*running // in the order of the spec
}

// running is a part and the goroutine that keeps it.
type running struct {
	Part
	stop context.CancelFunc
	done chan struct{}
}

func (s *supervisor) run(ctx context.Context) error {
	s.log.Info("supervising", "pid", os.Getpid())
	keepStandby, endStandby := context.WithCancel(ctx)
	defer endStandby()
	var standby sync.WaitGroup
	if len(s.argv) > 0 {
		standby.Go(func() { s.keepStandby(keepStandby) })
	}
	ticker, logs := time.NewTicker(pollInterval), time.NewTicker(logInterval)
	defer ticker.Stop()
	defer logs.Stop()
	var seen fs.FileInfo
	for {
		var wanted spec
		if now, err := os.Stat(s.dir.spec()); err == nil && same(seen, now) {
			// Parts that die are started again without being asked for.
		} else if err := readJSON(s.dir.spec(), &wanted); err != nil {
			s.log.Error("read spec", "error", err) // keep what runs
		} else if wanted.Stop {
			endStandby()
			standby.Wait()
			s.log.Info("stopping")
			s.adoptAll(wanted.Parts)
			s.stopParts(func(Part) bool { return true })
			return nil
		} else {
			s.reconcile(ctx, wanted.Parts)
			seen = now // a file that came since then is read once more
		}
		select {
		case <-logs.C:
			s.rotateLogs()
		case <-ctx.Done():
			// Told to end, not to stop the cluster: the parts go on.
			endStandby()
			standby.Wait()
			return nil
		case <-ticker.C:
		}
	}
}

// same reports whether two looks at a file that is replaced met the same one.
func same(before, now fs.FileInfo) bool {
	return before != nil && os.SameFile(before, now) && before.ModTime().Equal(now.ModTime())
}

// adoptAll takes hold of every wanted part that runs, to stop it.
func (s *supervisor) adoptAll(parts []Part) {
	for _, part := range parts {
		if !slices.ContainsFunc(s.parts, func(r *running) bool { return r.Name == part.Name }) && Running(s.dir, part.Name) {
			s.start(context.Background(), part)
		}
	}
}

func (s *supervisor) reconcile(ctx context.Context, wanted []Part) {
	s.stopParts(func(have Part) bool {
		return !slices.ContainsFunc(wanted, func(want Part) bool { return reflect.DeepEqual(want, have) })
	})
	for _, part := range wanted {
		if !slices.ContainsFunc(s.parts, func(r *running) bool { return r.Name == part.Name }) {
			s.start(ctx, part)
		}
	}
}

// stopParts stops the parts that condition holds for, the last one first.
func (s *supervisor) stopParts(condition func(Part) bool) {
	for i := len(s.parts) - 1; i >= 0; i-- {
		if r := s.parts[i]; condition(r.Part) {
			r.stop()
			<-r.done
			s.parts = slices.Delete(s.parts, i, i+1)
		}
	}
}

func (s *supervisor) start(ctx context.Context, part Part) {
	// A supervisor that ends without being told to stop leaves its parts
	// running, so their contexts do not follow ctx.
	partCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{part, stop, make(chan struct{})}
	s.parts = append(s.parts, r)
	go func() {
		defer close(r.done)
		s.keep(partCtx, part)
	}()
}

// keep runs part again and again until ctx ends, then stops what runs of it.
func (s *supervisor) keep(ctx context.Context, part Part) {
	log := s.log.With("part", part.Name)
	backoff := time.Duration(0)
	for ctx.Err() == nil {
		began := time.Now()
		process, err := s.adoptOrStart(part, log)
		if err != nil {
			log.Error("start", "error", err)
		} else {
			process.wait(ctx)
			process.pidfd.Close()
			if ctx.Err() != nil {
				break
			}
			log.Warn("ended", "pid", process.pid, "after", time.Since(began).Round(time.Millisecond))
		}
		if time.Since(began) > settled {
			backoff = 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(max(2*backoff, 250*time.Millisecond), maxBackoff)
	}
	// Also the one that an earlier supervisor started and this one has not
	// come to adopt.
	if left, alive := recorded(s.dir.record(part.Name)); alive {
		if process, err := watch(left.PID); err == nil {
			process.stop(log)
		}
	}
	os.Remove(s.dir.record(part.Name))
}

func (s *supervisor) adoptOrStart(part Part, log *slog.Logger) (*process, error) {
	if pid, alive := recordedPart(s.dir.record(part.Name), part); alive {
		log.Info("adopted", "pid", pid)
		return watch(pid)
	}
	command, err := launch(part.Args, part.Env, s.dir.Log(part.Name))
	if err != nil {
		return nil, err
	}
	pid := command.Process.Pid
	if err := recordPart(s.dir.record(part.Name), pid, part); err != nil {
		log.Error("record", "error", err)
	}
	log.Info("started", "pid", pid)
	p, err := watch(pid)
	// Reap it, no matter who else looks at it through its descriptor.
	go command.Wait() //nolint:errcheck // the exit is what the loop above reports
	return p, err
}

// keepStandby keeps a second supervisor waiting on the lock.
func (s *supervisor) keepStandby(ctx context.Context) {
	for ctx.Err() == nil {
		command, err := launch(s.argv, os.Environ(), s.dir.Log("supervisor"))
		if err != nil {
			s.log.Error("start standby", "error", err)
		} else {
			ended := make(chan struct{})
			go func() {
				command.Wait() //nolint:errcheck // it is started again, however it ended
				close(ended)
			}()
			select {
			case <-ended:
			case <-ctx.Done():
				command.Process.Kill() //nolint:errcheck // gone already is as good
				<-ended
				os.Remove(s.dir.standby())
				return
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// rotateLogs keeps each log below a size. The parts hold their files open for
// appending, so the content moves and the file stays.
func (s *supervisor) rotateLogs() {
	for _, r := range s.parts {
		name := s.dir.Log(r.Name)
		info, err := os.Stat(name)
		if err != nil || info.Size() < maxLog {
			continue
		}
		content, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(name+".1", content, 0o600)
		}
		if err == nil {
			err = os.Truncate(name, 0)
		}
		if err != nil {
			s.log.Error("rotate log", "part", r.Name, "error", err)
		}
	}
}
