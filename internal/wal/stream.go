package wal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"berth/internal/backup"
)

// A Stream uploads a server's log to the bucket as it is written. Log that is not
// uploaded yet is in a folder, which survives the stream: it may be killed at any
// moment.
type Stream struct {
	*Archive
	// Folder holds a folder for each chain.
	Folder string
	// Slot is the replication slot's name. It is made where there is none.
	Slot string
	// Keep is how many bytes may wait in Folder. Then the server keeps the log, as
	// far as its max_slot_wal_keep_size lets it.
	Keep int64
	// Tick is how often what has come is shipped; 0 stands for a second.
	Tick time.Duration

	mu sync.Mutex
	// samples are where the server's log was when, which the slot has not passed yet.
	samples []sample
	// current is the chain that is received, confirmed the last sample that is.
	current   string
	confirmed sample
	problem   string

	shipping shipping
}

// sample is where a server's log was at a moment of its clock.
type sample struct {
	at      time.Time
	flushed LSN
}

// errGap is in the chain when some of the log is lost.
var errGap = errors.New("the server has not kept the log until it was received")

// Run streams until the context ends, and then uploads the rest. Errors are logged,
// reported in the bucket, and retried.
func (s *Stream) Run(ctx context.Context) error {
	if s.Tick == 0 {
		s.Tick = time.Second
	}
	if err := os.MkdirAll(s.Folder, 0o700); err != nil {
		return fmt.Errorf("stream the log: %w", err)
	}
	var shipper sync.WaitGroup
	shipper.Go(func() { s.shipAll(ctx) })
	pause := s.Tick
	for ctx.Err() == nil {
		began := time.Now()
		err := s.session(ctx)
		if ctx.Err() != nil {
			break
		}
		if s.trouble(err.Error()) {
			s.Job.Log.Warn("the stream is interrupted", "error", err.Error())
		}
		if time.Since(began) > time.Minute {
			pause = s.Tick
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*s.Tick)
	}
	shipper.Wait()
	return nil
}

// session receives from one server until something is in the way.
func (s *Stream) session(ctx context.Context) error {
	// A restore ends the sessions of the database that it replaces.
	c, err := s.Job.Database.Named("postgres").Connect(ctx)
	if err != nil {
		c, err = s.Job.Database.Connect(ctx) // it may be closed
	}
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	now, err := look(ctx, c, s.Slot)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.samples, s.current, s.confirmed = nil, now.chain(), sample{}
	s.mu.Unlock()
	folder, err := s.settle(ctx, c, &now)
	if err != nil {
		return err
	}
	p, err := backup.FindPrograms(ctx, s.Job.Bin, now.major)
	if err != nil {
		return err
	}
	first := segmentOf(now.slot.restart, now.segment)
	if names := segmentsIn(folder); len(names) > 0 {
		first = parseSegment(names[0], now.segment)
	}
	s.trouble("")
	s.Job.Log.Info("streaming", "chain", now.chain(), "from", now.slot.restart.String())

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.receive(ctx, p, folder) })
	group.Go(func() error { return s.watch(ctx, c, now.chain()) })
	group.Go(func() error { return s.begin(ctx, now, first) })
	return group.Wait()
}

// settle makes the slot, and the folder for the chain, fit for each other: where the
// server does not have what would come next, both begin again.
func (s *Stream) settle(ctx context.Context, c *pgx.Conn, now *server) (folder string, err error) {
	folder = filepath.Join(s.Folder, now.chain())
	if now.slot == nil || now.slot.lost {
		if now.slot != nil {
			s.Job.Log.Error("some of the log is lost: a new base is made", "chain", now.chain(), "error", errGap.Error())
			if _, err := c.Exec(ctx, "SELECT pg_drop_replication_slot($1)", s.Slot); err != nil {
				return "", fmt.Errorf("drop slot %s: %w", s.Slot, err)
			}
		}
		// What came before does not go on. It is shipped all the same.
		if _, err := os.Stat(folder); err == nil {
			if err := os.Rename(folder, fmt.Sprintf("%s.%d", folder, time.Now().UnixNano())); err != nil {
				return "", fmt.Errorf("put the old log aside: %w", err)
			}
		}
		// It keeps the log from now on, not only from when it is first used.
		if _, err := c.Exec(ctx, "SELECT pg_create_physical_replication_slot($1, true)", s.Slot); err != nil {
			return "", fmt.Errorf("make slot %s: %w", s.Slot, err)
		}
		if *now, err = look(ctx, c, s.Slot); err != nil {
			return "", err
		}
		if now.slot == nil || now.slot.lost {
			return "", fmt.Errorf("slot %s was dropped as soon as it was made", s.Slot)
		}
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("stream the log: %w", err)
	}
	return folder, nil
}

// receive runs pg_receivewal, but not while too much waits for the bucket.
func (s *Stream) receive(ctx context.Context, p backup.Programs, folder string) error {
	for {
		receiving, stop := context.WithCancel(ctx)
		command, said := p.Command(receiving, s.Job.Database, "pg_receivewal", "--directory="+folder, "--slot="+s.Slot,
			"--synchronous", "--no-loop", "--no-password", "--status-interval=1")
		// It ends in order.
		command.Cancel = func() error { return command.Process.Signal(syscall.SIGINT) }
		command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
		ended := make(chan error, 1)
		go func() { ended <- run(command, said) }()
		full, err := s.untilFull(ctx, ended)
		stop()
		if !full {
			return err
		}
		<-ended
		bytes := waiting(s.Folder)
		s.trouble(fmt.Sprintf("%d bytes wait for the bucket: the server keeps the rest", bytes))
		s.Job.Log.Error("too much waits for the bucket", "bytes", bytes)
		for waiting(s.Folder) > s.Keep/2 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(s.Tick):
			}
		}
		s.trouble("")
	}
}

func run(command *exec.Cmd, said *backup.Said) error {
	err := said.Explain("pg_receivewal", command.Run())
	if err == nil {
		err = errors.New("pg_receivewal ended")
	}
	return err
}

// untilFull waits until pg_receivewal ends, or too much waits.
func (s *Stream) untilFull(ctx context.Context, ended <-chan error) (full bool, err error) {
	for {
		select {
		case err := <-ended:
			return false, err
		case <-ctx.Done():
			<-ended
			return false, context.Cause(ctx)
		case <-time.After(s.Tick):
			if waiting(s.Folder) > s.Keep {
				return true, nil
			}
		}
	}
}

// watch notes where the server's log is, and what of it has come.
func (s *Stream) watch(ctx context.Context, c *pgx.Conn, chain string) error {
	for {
		now, err := look(ctx, c, s.Slot)
		if err != nil {
			return err
		}
		switch {
		case now.chain() != chain:
			return fmt.Errorf("the server is another one, or on another timeline: %s, not %s", now.chain(), chain)
		case now.slot == nil || now.slot.lost:
			return errGap
		}
		s.note(now)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(s.Tick / 2):
		}
	}
}

func (s *Stream) note(now server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.samples) < 1000 { // While nothing comes, older ones are what counts.
		s.samples = append(s.samples, sample{now.now, now.flushed})
	}
	if !now.slot.active {
		return // A new slot begins where the server is, which nothing has received.
	}
	for len(s.samples) > 0 && s.samples[0].flushed <= now.slot.restart {
		s.confirmed, s.samples = s.samples[0], s.samples[1:]
	}
}

// begin makes a base where none leads up to what is received from now on.
func (s *Stream) begin(ctx context.Context, now server, first segment) error {
	for {
		err := s.beginOnce(ctx, now, first)
		if err == nil {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		s.Job.Log.Warn("no base yet", "error", err.Error())
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * s.Tick):
		}
	}
}

func (s *Stream) beginOnce(ctx context.Context, now server, first segment) error {
	chains, err := s.Chains(ctx)
	if err != nil {
		return err
	}
	for _, c := range chains {
		if c.Name == now.chain() && c.leadsTo(first) {
			return nil
		}
	}
	s.Job.Log.Info("no base precedes the log that arrives", "chain", now.chain(), slog.Uint64("segment", uint64(first)))
	_, err = s.Base(ctx)
	return err
}

// leadsTo reports whether a base and the log after it go up to a segment.
func (c *Chain) leadsTo(s segment) bool {
	for i := range c.Bases {
		b := &c.Bases[i]
		if b.damaged() {
			continue
		}
		begin := segmentOf(b.Start, b.SegmentBytes)
		names, _, _ := c.run(b)
		whole := segment(len(names))
		if n := len(names); n > 0 {
			if _, complete := c.segments[names[n-1]]; !complete {
				whole-- // It must come again from its beginning.
			}
		}
		if begin+whole >= s {
			return true
		}
	}
	return false
}

// trouble notes what the next word in the bucket says, and reports whether it is news.
func (s *Stream) trouble(what string) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news = s.problem != what
	s.problem = what
	return news
}
