package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// residentSize is the memory of all processes of a group, in bytes. Those that
// end while it looks count nothing.
func residentSize(group int) (total int64) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	for _, stat := range stats {
		data, err := os.ReadFile(stat)
		if err != nil {
			continue
		}
		// proc(5): after the name in brackets come state, ppid, pgrp, …, rss.
		text := string(data)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) < 22 || fields[2] != strconv.Itoa(group) {
			continue
		}
		if pages, err := strconv.ParseInt(fields[21], 10, 64); err == nil {
			total += pages * int64(os.Getpagesize())
		}
	}
	return total
}

// cpuTime is what a process has used of the processors so far.
func cpuTime(pid int) time.Duration {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// proc(5): after the name in brackets come state, …, utime and stime, in
	// hundredths of a second.
	text := string(data)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, userErr := strconv.ParseInt(fields[11], 10, 64)
	system, systemErr := strconv.ParseInt(fields[12], 10, 64)
	if userErr != nil || systemErr != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond
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
