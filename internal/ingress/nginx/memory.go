package nginx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// workerMemory is what a worker of NGINX is planned with: its connections, their
// buffers and a configuration of some thousand hosts.
const workerMemory = 64 << 20

// Workers returns how many worker processes fit: no more than there are
// processors, and no more than half of the memory holds, so that those of the
// configuration before have room beside them. A limit of 0 is none.
func Workers(processors int, limit uint64) int {
	workers := processors
	if limit > 0 {
		workers = min(workers, int(min(limit/2/workerMemory, 1024)))
	}
	return max(1, workers)
}

// MemoryLimit returns the bytes that this container may use, 0 if nothing bounds
// them.
func MemoryLimit() (uint64, error) {
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("read the limit of memory: %w", err)
		}
		word := strings.TrimSpace(string(content))
		limit, err := strconv.ParseUint(word, 10, 64)
		if word == "max" || limit > 1<<50 { // what cgroup v1 says for none
			return 0, nil
		}
		return limit, err
	}
	return 0, nil
}

// processes returns the workers of NGINX, those of earlier generations among
// them, and what all of NGINX's processes hold, in bytes.
func (s *Server) processes() (workers int, held uint64, err error) {
	master := s.process.Pid
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, 0, err
	}
	pids := []int{master}
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(content), ") ")
		if words := strings.Fields(rest); len(words) > 1 && words[0] != "Z" && words[1] == strconv.Itoa(master) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				return 0, 0, err
			}
			pids = append(pids, pid)
		}
	}
	for _, pid := range pids {
		held += memoryOf(pid)
	}
	return len(pids) - 1, held, nil
}

// memoryOf is a process's part of the memory that it shares with others, as
// workers share the configuration with their master, and all of its own. It is 0
// if the process has ended.
func memoryOf(pid int) (bytes uint64) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(content)) {
		words := strings.Fields(line)
		if len(words) == 3 && words[0] == "Pss:" {
			kilobytes, err := strconv.ParseUint(words[1], 10, 64)
			if err == nil {
				bytes += kilobytes << 10
			}
		}
	}
	return bytes
}

// Memory is the memory that a reload would need.
type Memory struct {
	Used, Needed, Limit uint64 // in bytes
	Leaving             int    // workers of earlier configurations that still finish
}

// Fits reports whether the reload may happen.
func (m Memory) Fits() bool { return m.Limit == 0 || m.Used+m.Needed <= m.Limit }

// Memory measures what NGINX holds and estimates what one more generation of
// workers adds: as much as the present processes have each, on average.
func (s *Server) Memory() (Memory, error) {
	if s.process == nil || s.MemoryLimit == 0 {
		return Memory{}, nil
	}
	workers, held, err := s.processes()
	if err != nil {
		return Memory{}, fmt.Errorf("measure nginx: %w", err)
	}
	each := held / uint64(workers+1)
	return Memory{
		Used: held, Needed: each * uint64(s.Settings.Workers+1), Limit: s.MemoryLimit,
		Leaving: max(0, workers-s.Settings.Workers),
	}, nil
}

// room returns the bytes that are free for uploads.
func (s *Server) room() (uint64, error) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(s.Settings.Uploads(), &disk); err != nil {
		return 0, fmt.Errorf("measure the disk for uploads: %w", err)
	}
	return disk.Bavail * uint64(disk.Bsize), nil
}
