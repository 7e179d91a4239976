package local

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// listener names the process that listens where an address wants to, as
// "nginx (pid 812)", or returns "" when that cannot be told.
func listener(network string, address netip.AddrPort) string {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		for _, socket := range listening(network, family) {
			if socket.ID.SourcePort != address.Port() {
				continue
			}
			source, _ := netip.AddrFromSlice(socket.ID.Source)
			if source = source.Unmap(); source != address.Addr() && !source.IsUnspecified() {
				continue
			}
			if name := socketHolder(socket.INode); name != "" {
				return name
			}
		}
	}
	return ""
}

// listening are the sockets that wait for anybody.
func listening(network string, family uint8) []*netlink.Socket {
	var all []*netlink.Socket
	if network == "udp" {
		found, _ := netlink.SocketDiagUDPInfo(family) // none is as good as unknown
		for _, socket := range found {
			if d := socket.InetDiagMsg; d != nil && d.ID.DestinationPort == 0 {
				all = append(all, d)
			}
		}
		return all
	}
	found, _ := netlink.SocketDiagTCPInfo(family) // as above
	for _, socket := range found {
		if d := socket.InetDiagMsg; d != nil && d.State == netlink.TCP_LISTEN {
			all = append(all, d)
		}
	}
	return all
}

// socketHolder finds the process that has a socket open. Only root sees the
// open files of others.
func socketHolder(inode uint32) string {
	want := fmt.Sprintf("socket:[%d]", inode)
	files, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, file := range files {
		if target, err := os.Readlink(file); err != nil || target != want {
			continue
		}
		pid := strings.Split(file, "/")[2]
		name, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
		if err != nil {
			return "pid " + pid
		}
		// Any process may choose its name.
		return fmt.Sprintf("%s (pid %s)", strings.Trim(strconv.QuoteToASCII(strings.TrimSpace(string(name))), `"`), pid)
	}
	return ""
}
