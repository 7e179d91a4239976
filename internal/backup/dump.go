package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// dumped is what a dump has come to.
type dumped struct {
	Contents
	size     int64
	warnings []string
}

// noEquivalent is what a server says of bytes that UTF-8 has nothing for.
const noEquivalent = `has no equivalent in encoding "UTF8"`

// dump runs pg_dump, copies what it writes to w, and returns what that holds and
// its size. It fails unless pg_dump has ended well and what came is a whole dump.
func (p Programs) dump(stopped context.Context, d *Database, f Format, encoding string, w io.Writer, arguments ...string) (_ dumped, _ error) {
	ctx, cancel := context.WithCancel(stopped)
	defer cancel()
	// zstd compresses an archive as it does SQL, and sees more of it at once.
	arguments = append([]string{"--format=" + string(f), "--compress=0", "--encoding=" + encoding, "--no-password", "--lock-wait-timeout=300000"}, arguments...)
	command, said := p.Command(ctx, d, "pg_dump", arguments...)
	output, err := startPiped(command)
	if err != nil {
		return dumped{}, fmt.Errorf("pg_dump: %w", err)
	}
	defer output.Close()
	scanner := newScanner()
	var reading io.Writer = scanner
	converted := func() error { return nil }
	if f == Custom {
		archive := p.scanArchive(ctx, scanner)
		reading, converted = archive, archive.Close
	}
	size, copyErr := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(reading, w)}, output, make([]byte, pipeSize/2))
	if copyErr != nil {
		cancel() // pg_dump would wait for a reader.
	}
	exit := said.Explain("pg_dump", command.Wait())
	if exit != nil {
		cancel() // pg_restore would complain of what is missing.
	}
	convertErr := converted()
	if stopped.Err() != nil {
		return dumped{}, context.Cause(stopped)
	}
	if copyErr != nil {
		return dumped{}, copyErr
	}
	if exit != nil {
		return dumped{}, exit
	}
	if convertErr != nil {
		return dumped{}, convertErr
	}
	contents, err := scanner.finish()
	if err != nil {
		return dumped{}, fmt.Errorf("pg_dump: %w", err)
	}
	return dumped{contents, size, said.warnings("pg_dump")}, nil
}

// globals dumps what all databases of the server share.
func (p Programs) globals(ctx context.Context, d *Database, arguments ...string) ([]byte, error) {
	arguments = append([]string{"--database=" + conninfo(d.Name()), "--globals-only", "--no-password"}, arguments...)
	command, said := p.Command(ctx, d, "pg_dumpall", arguments...)
	output, err := command.Output()
	if err != nil {
		return nil, said.Explain("pg_dumpall", err)
	}
	if !bytes.Contains(output, []byte("\n-- PostgreSQL database cluster dump complete\n")) {
		return nil, errors.New("pg_dumpall: its dump has no closing line: it was cut off")
	}
	return output, nil
}

// conninfo is a connection string of nothing but a database. pg_dumpall would ask
// for postgres, where not everybody is let in, and takes a name with "=" for one.
func conninfo(name string) string { return "dbname=" + quoteDSN(name) }
