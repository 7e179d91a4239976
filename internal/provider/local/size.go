package local

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"berth/internal/config"
	"berth/internal/fault"
)

// reservation is what a node keeps from its pods, so that it offers a size
// that is less than this machine's.
type reservation struct {
	milliCPU int64
	bytes    int64
}

func (r reservation) cpu() string    { return strconv.FormatInt(r.milliCPU, 10) + "m" }
func (r reservation) memory() string { return strconv.FormatInt(r.bytes, 10) }

// of reports whether a node keeps this from its pods by now.
func (r reservation) of(n *corev1.Node) bool {
	keeps := func(name corev1.ResourceName) int64 {
		kept := n.Status.Capacity[name].DeepCopy()
		kept.Sub(n.Status.Allocatable[name])
		return kept.MilliValue()
	}
	return keeps(corev1.ResourceCPU) == r.milliCPU && keeps(corev1.ResourceMemory) == 1000*(r.bytes+evictionMemory)
}

// reserve returns the reservation that leaves a size, "" meaning all.
func reserve(size string) (reservation, error) {
	if size == "" {
		return reservation{}, nil
	}
	wanted, err := config.ParseSize(size)
	if err != nil {
		return reservation{}, err
	}
	cpus := runtime.NumCPU()
	total, err := machineMemory()
	if err != nil {
		return reservation{}, err
	}
	if wanted.CPUs > cpus || wanted.Memory > total {
		return reservation{}, fault.WithHint(
			fault.Usage("a node cannot offer %s: this machine has %d CPUs and %d GiB", size, cpus, total>>30),
			"choose a size that fits, or leave it out to offer the whole machine")
	}
	return reservation{int64(cpus-wanted.CPUs) * 1000, total - wanted.Memory}, nil
}

// machineMemory returns the memory of this machine in bytes (proc_meminfo(5)).
func machineMemory() (int64, error) {
	content, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("read memory of this machine: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemTotal:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("read memory of this machine: no MemTotal in /proc/meminfo")
}
