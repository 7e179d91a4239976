package local

import (
	"runtime"
	"testing"

	"berth/internal/fault"
)

func TestReserve(t *testing.T) {
	total, err := machineMemory()
	if err != nil {
		t.Fatal(err)
	}
	all, err := reserve("")
	if err != nil || all != (reservation{}) {
		t.Errorf("no size reserves %+v, %v; want nothing", all, err)
	}
	small, err := reserve("s-1vcpu-1gb")
	if err != nil {
		t.Fatal(err)
	}
	if left := int64(runtime.NumCPU())*1000 - small.milliCPU; left != 1000 {
		t.Errorf("a node of one CPU offers %dm", left)
	}
	if left := total - small.bytes; left != 1<<30 {
		t.Errorf("a node of 1 GB offers %d bytes", left)
	}
	for _, size := range []string{"s-4096vcpu-1gb", "s-1vcpu-1048576gb", "large"} {
		if _, err := reserve(size); !fault.IsUsage(err) {
			t.Errorf("size %s gives %v, want a usage error", size, err)
		}
	}
}
