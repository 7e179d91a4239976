package wal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// mostPieces is how many pieces of a segment there are before they become one.
	mostPieces = 60
	// wordEvery is how often the stream says how far it is.
	wordEvery = 10
)

// shipping is what has been shipped, as far as the program knows. Nothing depends on
// that: after a kill it is found out again.
type shipping struct {
	segment  string    // whose pieces they are
	modified time.Time // of the file, when it was read last
	from     int64     // up to where pieces are there
	pieces   int
	chain    string // the one that was reported
	said     State
	word     time.Time // when that was said
}

// shipAll ships every tick until the context ends, and then once more.
func (s *Stream) shipAll(ctx context.Context) {
	failing := false
	for {
		err := s.ship(ctx)
		switch {
		case ctx.Err() != nil:
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			if err := s.ship(last); err != nil {
				s.Job.Log.Warn("some of the log is still here", "error", err.Error(), "bytes", waiting(s.Folder))
			}
			return
		case err != nil && !failing:
			s.Job.Log.Error("the log does not reach the bucket", "error", err.Error(), "bytes", waiting(s.Folder))
		case err == nil && failing:
			s.Job.Log.Info("the log reaches the bucket again")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
		case <-time.After(s.Tick):
		}
	}
}

// ship puts all that is there into the bucket.
func (s *Stream) ship(ctx context.Context) error {
	s.mu.Lock()
	current, confirmed, problem := s.current, s.confirmed, s.problem
	s.mu.Unlock()
	folders, err := os.ReadDir(s.Folder)
	if err != nil {
		return fmt.Errorf("ship the log: %w", err)
	}
	for _, folder := range folders {
		chain, _, _ := strings.Cut(folder.Name(), ".")
		if !folder.IsDir() || !ownChain.MatchString(chain) {
			continue
		}
		if err := s.shipFolder(ctx, folder.Name(), chain); err != nil {
			return err
		}
	}
	if current == "" {
		return nil // Nothing is known of a server yet.
	}
	if err := s.recall(ctx, current); err != nil {
		return err
	}
	said := State{Problem: problem, Reached: s.shipping.said.Reached, Position: s.shipping.said.Position}
	if !confirmed.at.IsZero() {
		said.Reached, said.Position = confirmed.at.UTC(), confirmed.flushed
	}
	return s.say(ctx, current, said)
}

// recall reads what was said of a chain before this program: it holds until there is
// more.
func (s *Stream) recall(ctx context.Context, chain string) error {
	if s.shipping.chain == chain {
		return nil
	}
	var said State
	if err := s.Job.GetJSON(ctx, root+chain+"/stream.json", &said); err != nil && !passedOver(err) {
		return err
	}
	s.shipping.chain, s.shipping.said, s.shipping.word = chain, said, time.Time{}
	return nil
}

// say tells in the bucket how far the stream is: now and then, and at once where that
// is news.
func (s *Stream) say(ctx context.Context, chain string, said State) error {
	before := s.shipping.said
	if said.Problem == before.Problem && !before.Reached.IsZero() && time.Since(s.shipping.word) < wordEvery*s.Tick && ctx.Err() == nil {
		return nil
	}
	said.Time = s.Job.Now().UTC()
	if err := s.Job.PutJSON(ctx, root+chain+"/stream.json", said); err != nil {
		return err
	}
	s.shipping.said, s.shipping.word = said, time.Now()
	return nil
}

// shipFolder ships the log of a chain, and removes what is complete. What belongs to
// no stream any more goes altogether.
func (s *Stream) shipFolder(ctx context.Context, folder, chain string) error {
	for _, name := range segmentsIn(filepath.Join(s.Folder, folder)) {
		path := filepath.Join(s.Folder, folder, name)
		segment, partial := strings.CutSuffix(name, ".partial")
		var err error
		if partial {
			err = s.shipPiece(ctx, path, chain, segment)
		} else {
			err = s.shipSegment(ctx, path, chain, segment)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // pg_receivewal has completed it meanwhile
		}
		if err != nil {
			return err
		}
		if partial {
			continue
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove what is in the bucket: %w", err)
		}
	}
	s.mu.Lock() // It may become the stream's.
	defer s.mu.Unlock()
	if s.current == "" || s.current == folder {
		return nil
	}
	return os.RemoveAll(filepath.Join(s.Folder, folder))
}

// shipSegment ships a complete segment, in place of its pieces.
func (s *Stream) shipSegment(ctx context.Context, path, chain, segment string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	name := root + chain + "/" + segment
	if err := s.put(ctx, name, data); err != nil {
		return err
	}
	return s.removePieces(ctx, name, "")
}

// shipPiece ships what has come of the segment that is being filled.
func (s *Stream) shipPiece(ctx context.Context, path, chain, segment string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	p := &s.shipping
	if p.segment != chain+"/"+segment {
		p.segment, p.modified, p.from, p.pieces = chain+"/"+segment, time.Time{}, 0, 0
	}
	// Within a moment there may be more of it, at the same time by the file system.
	if info.ModTime().Equal(p.modified) && time.Since(p.modified) > 3*time.Second {
		return nil
	}
	data, end, err := received(path, p.from)
	if err != nil {
		return err
	}
	if end <= p.from {
		p.modified = info.ModTime()
		return nil
	}
	name := root + chain + "/" + segment
	from := p.from
	if p.pieces >= mostPieces {
		if data, end, err = received(path, 0); err != nil {
			return err
		}
		from = 0
	}
	suffix := fmt.Sprintf(".%08X", from)
	if err := s.put(ctx, name+suffix, data); err != nil {
		return err
	}
	if from == 0 {
		if err := s.removePieces(ctx, name, suffix); err != nil {
			return err
		}
		p.pieces = 0
	}
	p.modified, p.from, p.pieces = info.ModTime(), end, p.pieces+1
	return nil
}

func (s *Stream) put(ctx context.Context, name string, data []byte) error {
	sealed, err := s.Job.SealBytes(data)
	if err != nil {
		return err
	}
	return s.Job.Bucket.Put(ctx, s.Job.SealedName(name), sealed)
}

// removePieces removes the pieces of a segment but one. A key that may not delete
// leaves them, which does no harm.
func (s *Stream) removePieces(ctx context.Context, name, but string) error {
	for o, err := range s.below(ctx, name+".") {
		if err != nil {
			return err
		}
		m := ownSegment.FindStringSubmatch(filepath.Base(o.name))
		if m == nil || m[2] == "" || m[2] == but {
			continue
		}
		if err := s.Job.Bucket.Delete(ctx, o.name); err != nil {
			s.Job.Log.Debug("a piece stays", "object", o.name, "error", err.Error())
			return nil
		}
	}
	return nil
}
