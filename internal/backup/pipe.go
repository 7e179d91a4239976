package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// feed runs a program between an input and an output. It returns an error of
// those before one of the program, which may be but what follows from it.
func (p Programs) feed(stopped context.Context, d *Database, input io.Reader, output io.Writer, program string, arguments ...string) error {
	ctx, cancel := context.WithCancel(stopped)
	defer cancel()
	command, said := p.Command(ctx, d, program, arguments...)
	stdin, err := command.StdinPipe()
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	if file, ok := stdin.(*os.File); ok {
		if raw, err := file.SyscallConn(); err == nil {
			_ = raw.Control(widen) // The pipe works as it is, too.
		}
	}
	stdout, err := startPiped(command)
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	written := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{output}, stdout, make([]byte, pipeSize/2))
		if err != nil {
			cancel() // The program would wait for a reader.
		}
		written <- errors.Join(err, stdout.Close())
	}()
	source := &reader{Reader: input}
	_, copyErr := io.CopyBuffer(struct{ io.Writer }{stdin}, source, make([]byte, pipeSize/2))
	var closeErr error
	if source.err != nil {
		cancel() // It must not take the end of what came for the end of all.
	} else {
		closeErr = stdin.Close()
	}
	writeErr := <-written
	exit := said.Explain(program, command.Wait())
	switch {
	case stopped.Err() != nil:
		return context.Cause(stopped)
	case source.err != nil:
		return source.err
	case writeErr != nil:
		return writeErr
	case exit != nil:
		return exit // It is the cause of the other two.
	}
	return errors.Join(copyErr, closeErr)
}

// reader remembers an error of its source, to tell it from one of the copy's
// other end.
type reader struct {
	io.Reader
	err error
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// startPiped starts a command and returns what it writes to its standard
// output, which ends when the command does.
func startPiped(command *exec.Cmd) (pipe, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return -1, err
	}
	read, write := pipe(ends[0]), os.NewFile(uintptr(ends[1]), "pipe")
	widen(write.Fd())
	command.Stdout = write
	if err := errors.Join(command.Start(), write.Close()); err != nil {
		return -1, errors.Join(err, read.Close())
	}
	return read, nil
}

// pipeSize is what a pipe to or from a program holds: with the usual 64 KB the
// two would wait for each other all the time.
const pipeSize = 1 << 20

// widen asks for that. Without the right to it, the pipe stays as it is.
func widen(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) }

// pipe is the end of a pipe that is read. Unlike a file of package os it lets
// its thread wait, and then some time for the pipe to fill: pg_dump writes 4 KB
// at a time, and to wake up for each costs more than compressing it.
type pipe int

func (p pipe) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(p), b)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		case n < len(b)/4:
			pause := unix.NsecToTimespec(int64(500 * time.Microsecond))
			_ = unix.Nanosleep(&pause, nil) // cut short by a signal it does as well
		}
		return n, nil
	}
}

func (p pipe) Close() error { return unix.Close(int(p)) }
