package session

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func TestTheHoldingProgramEndsWithItsInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hold")
	program := holdProgram(runtime.GOARCH, connecting)
	if program == nil {
		t.Fatalf("there is no program for %s", runtime.GOARCH)
	}
	if err := os.WriteFile(file, program, 0o700); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(file)
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	// More than a pipe holds: it is read, and the program goes on.
	if _, err := input.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	input.Close()
	if err := command.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// A berth that is killed before it is connected leaves input that never comes.
func TestTheHoldingProgramEndsWithoutInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hold")
	if err := os.WriteFile(file, holdProgram(runtime.GOARCH, time.Second), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		about string
		first string
		ends  bool
	}{
		{"nothing comes", "", true},
		{"something came once", "\n", false},
	} {
		t.Run(test.about, func(t *testing.T) {
			command := exec.Command(file)
			input, err := command.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := input.Write([]byte(test.first)); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- command.Wait() }()
			select {
			case err := <-ended:
				if err != nil || !test.ends {
					t.Errorf("it ended, with %v", err)
				}
				return
			case <-time.After(3 * time.Second):
				if test.ends {
					t.Error("it goes on")
				}
			}
			input.Close()
			if err := <-ended; err != nil {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

// What cannot be run here can be read at least.
func TestTheHoldingProgramIsAnExecutable(t *testing.T) {
	for machine, want := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		file, err := elf.NewFile(bytes.NewReader(holdProgram(machine, connecting)))
		if err != nil {
			t.Errorf("%s: %v", machine, err)
			continue
		}
		if file.Machine != want || file.Type != elf.ET_EXEC || len(file.Progs) != 2 {
			t.Errorf("%s: %+v", machine, file.FileHeader)
		}
		code, err := file.Progs[0].Open().Read(make([]byte, file.Progs[0].Filesz))
		if err != nil || file.Entry < file.Progs[0].Vaddr || file.Entry >= file.Progs[0].Vaddr+uint64(code) {
			t.Errorf("%s begins at %#x, outside of what is loaded (%v)", machine, file.Entry, err)
		}
	}
	if holdProgram("s390x", connecting) != nil {
		t.Error("a program for a machine that it was not written for")
	}
}
