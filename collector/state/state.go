// Package state keeps what outlives the agent's process: the queues of its sinks,
// and how far it has read each log file. It is the published file_storage, which
// knows two kinds of damage of the many that a power failure leaves: this one
// looks at every file before it is opened, and sets the damaged ones aside.
//
// A value has a checksum, as the database below has none for its contents. And a
// file is looked at by a process of its own, as the database ends the process when
// it finds itself damaged.
package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// NewFactory makes the extension file_storage.
func NewFactory() extension.Factory {
	published := filestorage.NewFactory()
	create := func(ctx context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
		inner, err := published.Create(ctx, set, cfg)
		if err != nil {
			return nil, err
		}
		return &files{Extension: inner.(storage.Extension), folder: cfg.(*filestorage.Config).Directory, log: set.Logger}, nil
	}
	return extension.NewFactory(published.Type(), published.CreateDefaultConfig, create, published.Stability())
}

type files struct {
	storage.Extension
	folder string
	log    *zap.Logger
}

// aside ends the name of a damaged file, in the place of an earlier one.
const aside = ".damaged"

// Start sets damaged files aside.
func (f *files) Start(ctx context.Context, host component.Host) error {
	if err := f.setAside(ctx); err != nil {
		return fmt.Errorf("look at the state: %w", err)
	}
	return f.Extension.Start(ctx, host)
}

func (f *files) setAside(ctx context.Context) error {
	// What is in a queue is marked as read. With a queue that is lost, log files are
	// to be read again.
	places, err := filepath.Glob(filepath.Join(f.folder, "receiver_*"))
	if err != nil {
		return err
	}
	queues, err := filepath.Glob(filepath.Join(f.folder, "exporter_*"))
	if err != nil {
		return err
	}
	lost := false
	for _, path := range queues {
		if strings.HasSuffix(path, aside) {
			continue
		}
		if why := examine(ctx, path); why != nil {
			lost = true
			if err := f.move(path, why.Error()); err != nil {
				return err
			}
		}
	}
	for _, path := range places {
		if strings.HasSuffix(path, aside) {
			continue
		}
		why := examine(ctx, path)
		if why == nil && lost {
			why = errors.New("it says that lines were read which were in a damaged queue")
		}
		if why != nil {
			if err := f.move(path, why.Error()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *files) move(path, why string) error {
	if err := os.Rename(path, path+aside); err != nil {
		return fmt.Errorf("set a damaged file aside: %w", err)
	}
	f.log.Error("a file of the agent's state is set aside, and log files are read again", zap.String("file", path), zap.String("now", path+aside), zap.String("damage", why))
	return nil
}

// Command is the first argument of the process that looks at a file.
const Command = "examine-state"

const (
	damaged = 3
	// patience is far more than the largest queue takes.
	patience = 2 * time.Minute
)

// examine says what is wrong with a file. One that cannot be read at all, or is in
// use, is left to the database to complain of.
func examine(ctx context.Context, path string) error {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var said bytes.Buffer
	process := exec.CommandContext(ctx, program, Command, path)
	process.Stderr = &said
	var exit *exec.ExitError
	if err := process.Run(); !errors.As(err, &exit) || exit.ExitCode() == 1 {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("it could not be read within %v", patience)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
		return nil // out of memory, maybe
	}
	first, _, _ := strings.Cut(said.String(), "\n")
	const longest = 200
	return errors.New(strings.ToValidUTF8(first[:min(len(first), longest)], ""))
}

// GetClient returns a client whose values have checksums.
func (f *files) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	c, err := f.Extension.GetClient(ctx, kind, id, name)
	if err != nil {
		return nil, err
	}
	return client{c}, nil
}

type client struct{ storage.Client }

func (c client) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := c.Batch(ctx, op)
	return op.Value, err
}

func (c client) Set(ctx context.Context, key string, value []byte) error {
	return c.Batch(ctx, storage.SetOperation(key, value))
}

func (c client) Batch(ctx context.Context, ops ...*storage.Operation) error {
	sealed := make([]*storage.Operation, len(ops))
	for i, op := range ops {
		sealed[i] = op
		if op.Type == storage.Set {
			sealed[i] = storage.SetOperation(op.Key, seal(op.Value))
		}
	}
	if err := c.Client.Batch(ctx, sealed...); err != nil {
		return err
	}
	for _, op := range ops {
		if op.Type != storage.Get || op.Value == nil {
			continue
		}
		var err error
		if op.Value, err = unseal(op.Value); err != nil {
			return fmt.Errorf("read %s: %w", op.Key, err)
		}
	}
	return nil
}

var table = crc32.MakeTable(crc32.Castagnoli)

// seal puts a checksum before a value.
func seal(value []byte) []byte {
	sealed := make([]byte, 4, 4+len(value))
	binary.LittleEndian.PutUint32(sealed, crc32.Checksum(value, table))
	return append(sealed, value...)
}

func unseal(sealed []byte) ([]byte, error) {
	if len(sealed) < 4 || binary.LittleEndian.Uint32(sealed) != crc32.Checksum(sealed[4:], table) {
		return nil, errors.New("a value does not match its checksum")
	}
	return sealed[4:], nil
}
