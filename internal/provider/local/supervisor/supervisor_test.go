package supervisor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"berth/internal/provider/local/supervisor"
)

// The test binary is the supervisor too, as berth is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "supervise" {
		program, err := os.Executable()
		if err == nil {
			err = supervisor.Run(context.Background(), supervisor.Dir(os.Args[2]), []string{program, "supervise", os.Args[2]}, nil)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestStartsAndRestarts(t *testing.T) {
	dir := supervised(t, sleeper("one"), sleeper("two"))
	one, two := await(t, dir, "one", 0), await(t, dir, "two", 0)

	kill(t, one)
	if again := await(t, dir, "one", one); again == one {
		t.Error("a part that died was not started again")
	}
	if now := await(t, dir, "two", 0); now != two {
		t.Error("the death of one part disturbed another")
	}
}

func TestFollowsTheSpec(t *testing.T) {
	dir := supervised(t, sleeper("stays"), sleeper("changes"), sleeper("goes"))
	stays, changes, goes := await(t, dir, "stays", 0), await(t, dir, "changes", 0), await(t, dir, "goes", 0)

	changed := sleeper("changes")
	changed.Env = append(changed.Env, "CONFIGURATION=2")
	apply(t, dir, sleeper("stays"), changed, sleeper("comes"))
	if alive(changes) || alive(goes) {
		t.Error("what is not wanted any more could still be taken for what is")
	}
	await(t, dir, "comes", 0)
	if now := await(t, dir, "changes", changes); now == changes {
		t.Error("a changed part was not started again")
	}
	if now := await(t, dir, "stays", 0); now != stays {
		t.Error("a part that did not change was started again")
	}
	if alive(goes) {
		t.Error("a part that is no longer wanted still runs")
	}
}

func TestStandbyTakesOverWithoutDisturbance(t *testing.T) {
	dir := supervised(t, sleeper("part"))
	part := await(t, dir, "part", 0)
	active := await(t, dir, "supervisor", 0)
	standby := await(t, dir, "supervisor-standby", active) // everyone begins as one

	kill(t, active)
	if now := await(t, dir, "supervisor", active); now != standby {
		t.Errorf("supervisor is %d, want the standby %d", now, standby)
	}
	if now := await(t, dir, "part", 0); now != part {
		t.Error("the part did not outlive its supervisor")
	}
	kill(t, part) // adopted parts are kept too
	await(t, dir, "part", part)

	next := await(t, dir, "supervisor-standby", standby)
	kill(t, next)
	await(t, dir, "supervisor-standby", next)
}

func TestAdoptsAfterBothSupervisorsDied(t *testing.T) {
	dir := supervised(t, sleeper("part"))
	part := await(t, dir, "part", 0)
	active := await(t, dir, "supervisor", 0)
	standby := await(t, dir, "supervisor-standby", active) // everyone begins as one
	kill(t, standby, active)

	apply(t, dir, sleeper("part"))
	await(t, dir, "supervisor", standby)
	if now := await(t, dir, "part", 0); now != part {
		t.Error("the part was not adopted")
	}
}

func TestStopsWithoutASupervisor(t *testing.T) {
	dir := supervised(t, sleeper("part"))
	part := await(t, dir, "part", 0)
	active := await(t, dir, "supervisor", 0)
	kill(t, await(t, dir, "supervisor-standby", active), active)

	if err := supervisor.Stop(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if alive(part) {
		t.Error("the part outlived Stop")
	}
}

func TestDoesNotAdoptAStranger(t *testing.T) {
	dir := supervised(t)
	await(t, dir, "supervisor", 0)
	// A record of another boot names a process that is alive now: this one.
	record, err := json.Marshal(map[string]any{"pid": os.Getpid(), "started": "1", "boot": "another"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(string(dir), "run", "part.json"), record, 0o600); err != nil {
		t.Fatal(err)
	}
	apply(t, dir, sleeper("part"))
	await(t, dir, "part", os.Getpid())
}

func TestKeepsOutputAndSecretsPrivate(t *testing.T) {
	talker := supervisor.Part{Name: "talker", Args: []string{"/bin/sh", "-c", "echo $WORD; exec sleep 1000"}, Env: []string{"WORD=hello"}}
	dir := supervised(t, talker)
	await(t, dir, "talker", 0)
	eventually(t, "the output is in the log", func() bool {
		content, err := os.ReadFile(dir.Log("talker"))
		return err == nil && string(content) == "hello\n"
	})
	err := filepath.WalkDir(string(dir), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sleeper(name string) supervisor.Part {
	return supervisor.Part{Name: name, Args: []string{"/bin/sleep", "1000"}, Env: []string{"NAME=" + name}}
}

// supervised starts a supervisor that ends with the test.
func supervised(t *testing.T, parts ...supervisor.Part) supervisor.Dir {
	t.Helper()
	dir := supervisor.Dir(t.TempDir())
	apply(t, dir, parts...)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := supervisor.Stop(ctx, dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func apply(t *testing.T, dir supervisor.Dir, parts ...supervisor.Part) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := supervisor.Apply(dir, parts, []string{program, "supervise", string(dir)}); err != nil {
		t.Fatal(err)
	}
}

// await waits until a part runs under another id than before, and returns it.
func await(t *testing.T, dir supervisor.Dir, part string, before int) (pid int) {
	t.Helper()
	eventually(t, part+" runs", func() bool {
		var record struct{ PID int }
		content, err := os.ReadFile(filepath.Join(string(dir), "run", part+".json"))
		if err != nil || json.Unmarshal(content, &record) != nil {
			return false
		}
		pid = record.PID
		return pid != before && supervisor.Running(dir, part)
	})
	return pid
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func kill(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatalf("kill %d: %v", pid, err)
		}
	}
	for _, pid := range pids {
		eventually(t, strconv.Itoa(pid)+" is dead", func() bool { return !alive(pid) })
	}
}

// alive is false for a process that nobody has reaped.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	return !strings.HasPrefix(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " Z")
}
