package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// container writes a log file as containerd and the kubelet do.
type container struct {
	t      testing.TB
	folder string
	file   *os.File
}

// uid is every pod's.
const uid = "0b5e1c3e-1111-4222-8333-444455556666"

// container makes a pod with one container.
func (n *node) container(namespace, pod, name string) *container {
	n.t.Helper()
	c := &container{t: n.t, folder: filepath.Join(n.logs, namespace+"_"+pod+"_"+uid, name)}
	if err := os.MkdirAll(c.folder, 0o755); err != nil {
		n.t.Fatal(err)
	}
	c.open()
	n.t.Cleanup(func() { c.file.Close() })
	return c
}

func (c *container) open() {
	var err error
	c.file, err = os.OpenFile(filepath.Join(c.folder, "0.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		c.t.Error(err)
	}
}

// write appends what a program wrote to a stream, which ends with a newline. As
// containerd does, it cuts lines over 16 KiB.
func (c *container) write(stream, text string) {
	const longest = 16 << 10
	var b bytes.Buffer
	for line := range bytes.Lines([]byte(text)) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		for len(line) > longest {
			fmt.Fprintf(&b, "%s %s P %s\n", time.Now().UTC().Format(time.RFC3339Nano), stream, line[:longest])
			line = line[longest:]
		}
		fmt.Fprintf(&b, "%s %s F %s\n", time.Now().UTC().Format(time.RFC3339Nano), stream, line)
	}
	if _, err := c.file.Write(b.Bytes()); err != nil {
		c.t.Error(err)
	}
}

// rotate renames the file and begins a new one, after it has compressed the one
// that was renamed before.
func (c *container) rotate() {
	old, err := filepath.Glob(filepath.Join(c.folder, "0.log.*[0-9]"))
	if err != nil {
		c.t.Error(err)
	}
	for _, path := range old {
		c.compress(path)
	}
	current := filepath.Join(c.folder, "0.log")
	if err := os.Rename(current, current+"."+time.Now().UTC().Format("20060102-150405.000000000")); err != nil {
		c.t.Error(err)
	}
	before := c.file
	c.open()
	if err := before.Close(); err != nil {
		c.t.Error(err)
	}
}

func (c *container) compress(path string) {
	from, err := os.Open(path)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer from.Close()
	to, err := os.Create(path + ".tmp")
	if err != nil {
		c.t.Error(err)
		return
	}
	defer to.Close()
	w := gzip.NewWriter(to)
	if _, err := io.Copy(w, from); err != nil {
		c.t.Error(err)
	}
	if err := w.Close(); err != nil {
		c.t.Error(err)
	}
	if err := os.Rename(path+".tmp", path+".gz"); err != nil {
		c.t.Error(err)
	}
	if err := os.Remove(path); err != nil {
		c.t.Error(err)
	}
}
