package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A process is what proc(5) says of one.
type process struct {
	group  int
	memory int64 // bytes
	cpu    time.Duration
}

// readProcess reads a process's stat file. One that has ended is the zero process.
func readProcess(stat string) (p process) {
	data, err := os.ReadFile(stat)
	if err != nil {
		return p
	}
	// After the name in brackets come state, ppid, pgrp, …, utime, stime, …, rss; times
	// are in hundredths of a second.
	text := string(data)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 22 {
		return p
	}
	number := func(i int) (n int64) {
		n, err = strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	return process{int(number(2)), number(21) * int64(os.Getpagesize()), time.Duration(number(11)+number(12)) * 10 * time.Millisecond}
}

// groupOf is what all processes of a group have together. Those that end while it
// looks count nothing.
func groupOf(group int) (all process) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return all
	}
	for _, stat := range stats {
		if p := readProcess(stat); p.group == group {
			all.memory += p.memory
			all.cpu += p.cpu
		}
	}
	return all
}

// cpuTime is what a process has used of the processors so far.
func cpuTime(pid int) time.Duration {
	return readProcess("/proc/" + strconv.Itoa(pid) + "/stat").cpu
}

// sizeOf is the size of a file, or of all files below a folder, in bytes.
func sizeOf(path string) (total int64) {
	// What vanishes meanwhile counts nothing.
	_ = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return nil
	})
	return total
}
