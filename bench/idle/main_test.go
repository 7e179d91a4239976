package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestCompare(t *testing.T) {
	before := []process{{1, "etcd", 10 * time.Second, 5e6}, {2, "pod: nginx", time.Second, 1e6}, {9, "gone", time.Hour, 1}}
	after := []process{{1, "etcd", 10600 * time.Millisecond, 6e6}, {2, "pod: nginx", time.Second, 1e6}, {3, "pod: nginx", 60 * time.Millisecond, 2e6}}
	var out bytes.Buffer
	if err := write(&out, compare(before, after), time.Minute); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	want := "CPU, % of a core memory, MB processes part\n1.00 6.0 1 etcd\n0.10 3.0 2 pod: nginx\n1.10 9.0 3 all"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReadingProcesses(t *testing.T) {
	cpu, err := parseStat("42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 100 20 3 4 20 0 1 0 5000")
	if cpu != 1270*time.Millisecond || err != nil {
		t.Errorf("got %s, %v", cpu, err)
	}
	if _, err := parseStat("42 (short) S"); err == nil {
		t.Error("a short line has times")
	}
	memory, err := parseRollup([]byte("Rss:  100 kB\nPss:                1234 kB\nPss_Anon: 7 kB\n"))
	if memory != 1234<<10 || err != nil {
		t.Errorf("got %d, %v", memory, err)
	}
	if _, err := parseRollup(nil); err == nil {
		t.Error("nothing has a size")
	}
	// This process is one that can be read.
	if _, err := used(1); err != nil {
		t.Error(err)
	}
}
