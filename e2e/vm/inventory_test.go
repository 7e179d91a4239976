package main

import (
	"slices"
	"testing"
)

func TestWhatBecameDifferent(t *testing.T) {
	before := read("process in /system.slice/systemd-udevd.service/udev: (udev-worker)\nmount / ext4\nmount /proc proc\nsysctl net.ipv4.ip_forward = 0\n")
	after := read("mount / ext4\nmount / ext4\nsysctl net.ipv4.ip_forward = 1\nsysctl net.netfilter.nf_conntrack_max = 65536\npackage mmdebstrap 1.5\n")
	want := []string{
		"gone: mount /proc proc", "gone: process in /system.slice/systemd-udevd.service/udev: (udev-worker)", "gone: sysctl net.ipv4.ip_forward = 0",
		"new: mount / ext4", "new: package mmdebstrap 1.5", "new: sysctl net.ipv4.ip_forward = 1", "new: sysctl net.netfilter.nf_conntrack_max = 65536",
	}
	if got := before.changes(after); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if before.compare(after) == nil {
		t.Error("a changed ip_forward counts for nothing")
	}
	if got := before.packages(after); !slices.Equal(got, []string{"mmdebstrap"}) {
		t.Errorf("the packages %q are new", got)
	}
	delete(after, "package mmdebstrap 1.5") // it was removed by hand
	delete(after, "sysctl net.ipv4.ip_forward = 1")
	after["sysctl net.ipv4.ip_forward = 0"], after["mount / ext4"], after["mount /proc proc"] = 1, 1, 1
	if err := before.compare(after); err != nil {
		t.Errorf("a module's settings or udev's workers count: %v", err)
	}
}
