package session

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

func TestTheHoldingProgramEndsWithItsInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hold")
	program := holdProgram(runtime.GOARCH)
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

// What cannot be run here can be read at least.
func TestTheHoldingProgramIsAnExecutable(t *testing.T) {
	for machine, want := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		file, err := elf.NewFile(bytes.NewReader(holdProgram(machine)))
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
	if holdProgram("s390x") != nil {
		t.Error("a program for a machine that it was not written for")
	}
}
