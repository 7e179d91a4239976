package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A power failure leaves files of the agent's state damaged: the agent starts, says
// which, and every line that is in a log file arrives.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	random := func(n int) []byte {
		b := make([]byte, n)
		if _, err := rand.Read(b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	overwrite := func(at float64, with []byte) func([]byte) []byte {
		return func(data []byte) []byte {
			copy(data[int(at*float64(len(data))):], with)
			return data
		}
	}
	damages := []struct {
		name   string
		damage func(data []byte) []byte
		// free says that it may hit what is in no use, and harms nobody then. What changes
		// nothing harms nobody either: an agent that ends at once has noted no file.
		free bool
	}{
		{"text", func([]byte) []byte { return []byte("this is no database\n") }, false},
		{"nothing", func([]byte) []byte { return nil }, false},
		{"zeros", func(data []byte) []byte { return make([]byte, len(data)) }, false},
		{"random", func(data []byte) []byte { return random(len(data)) }, false},
		{"a cut head", func(data []byte) []byte { return data[:100] }, false},
		{"cut after a page", func(data []byte) []byte { return data[:4096] }, false},
		{"cut in the middle", func(data []byte) []byte { return data[:len(data)/2] }, true},
		{"zeros at first", overwrite(0, make([]byte, 4096)), false},
		{"zeros in the middle", overwrite(0.125, make([]byte, 4096)), true},
		{"random at first", overwrite(0, random(4096)), false},
		{"random in the middle", overwrite(0.125, random(4096)), true},
		{"a random half", overwrite(0.25, random(16<<10)), true},
		{"a flipped bit", flip, false},
	}
	for _, file := range []string{"receiver_container_log_", "exporter_frames__logs"} {
		for _, damage := range damages {
			t.Run(file+" "+damage.name, func(t *testing.T) {
				a := newAggregator(t)
				n := newNode(t, map[string]map[string]any{"frames": a.asFrames()})
				c := n.container("production", "realworld-0", "realworld")
				const lines = 500
				for i := range lines {
					c.write("stdout", fmt.Sprintf("{\"msg\":\"line %06d\"}\n", i))
				}
				n.start()
				n.eventually(10*time.Second, "all is read", func() bool {
					return n.metric("otelcol_receiver_accepted_log_records", "container_log") == lines
				})
				n.stop()
				path := filepath.Join(n.state, file)
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				damaged := damage.damage(bytes.Clone(data))
				changed := max(len(data)-len(damaged), 0)
				for i := range min(len(data), len(damaged)) {
					if data[i] != damaged[i] {
						changed++
					}
				}
				if err := os.WriteFile(path, damaged, 0o600); err != nil {
					t.Fatal(err)
				}
				a.open()
				n.start()
				n.eventually(15*time.Second, "all lines are there", func() bool { return a.lines() == lines })
				_, err = os.Stat(path + ".damaged")
				if said := n.output.String(); !damage.free && changed > 0 && err != nil || err == nil && !strings.Contains(said, path+".damaged") {
					t.Errorf("the file is not set aside, or the agent does not say so: %v; %d of %d bytes were changed", err, changed, len(data))
				}
			})
		}
	}
}

// flip changes a bit of a value wherever it stands, which the database itself does
// not notice.
func flip(data []byte) []byte {
	data = bytes.ReplaceAll(data, []byte("line 000250"), []byte("line 000251"))
	return bytes.ReplaceAll(data, []byte("log.file.path"), []byte("log.file.pati"))
}
