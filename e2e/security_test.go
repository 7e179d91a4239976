//go:build e2e

package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// machineNetwork holds the addresses of machine and nodes, which nobody outside
// this machine can reach.
var machineNetwork = netip.MustParsePrefix("10.118.0.0/24")

func testSecurity(t *testing.T) {
	c := running(t)
	t.Run("strangers", testStrangers)
	t.Run("metrics", testMetricsAreRootsAlone)
	t.Run("neighbours", testNeighbours)
	t.Run("listeners", testListeners)
	t.Run("addresses of nobody", testAddressesOfNobody)
	t.Run("secrets", c.testSecrets)
	t.Run("modes", testModes)
	t.Run("pods", c.testPodSecurity)
}

// What is still sent to a pod that is gone, or to a node that never was, is
// refused at once: it must not leave this machine, where anybody may answer.
func testAddressesOfNobody(t *testing.T) {
	for _, address := range []string{"10.118.1.251:8000", "10.118.7.9:80", "10.118.0.77:443"} {
		connection, err := net.DialTimeout("tcp", address, 2*time.Second)
		if err == nil {
			connection.Close()
		}
		if !errors.Is(err, unix.EHOSTUNREACH) {
			t.Errorf("%s: %v, want %v", address, err, unix.EHOSTUNREACH)
		}
	}
}

// A client without a certificate learns nothing.
func testStrangers(t *testing.T) {
	for url, want := range map[string]int{
		"https://10.118.0.1:6443/api":                     http.StatusUnauthorized,
		"https://10.118.0.1:6443/version":                 http.StatusUnauthorized,
		"https://10.118.0.1:6443/healthz":                 http.StatusUnauthorized,
		"https://10.118.0.1:6443/api/v1/secrets":          http.StatusUnauthorized,
		"https://10.118.0.11:10250/pods":                  http.StatusUnauthorized,
		"https://10.118.0.11:10250/run/production/a/web":  http.StatusUnauthorized,
		"https://10.118.0.11:10250/metrics":               http.StatusUnauthorized,
		"https://10.118.0.1:9000/berth?list-type=2":       http.StatusForbidden,
		"https://" + registryAddress + "/v2/_catalog":     http.StatusUnauthorized,
		"https://10.118.0.1:20443/apis/metrics.k8s.io":    http.StatusForbidden,
		"https://10.118.0.1:20443/metrics":                http.StatusForbidden,
		"https://127.0.0.1:20257/metrics":                 http.StatusForbidden,
		"https://127.0.0.1:20259/metrics":                 http.StatusForbidden,
		"https://127.0.0.1:20257/debug/pprof/":            http.StatusForbidden,
		"https://10.118.0.1:6443/apis/apps/v1/namespaces": http.StatusUnauthorized,
	} {
		response, err := careless().Get(url)
		if err != nil {
			t.Error(err)
			continue
		}
		response.Body.Close()
		if response.StatusCode != want && response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s answers %s, want %d", url, response.Status, want)
		}
	}
	// etcd does not even finish the handshake.
	connection, err := tls.Dial("tcp", "127.0.0.1:20379", &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		defer connection.Close()
		fmt.Fprintf(connection, "GET /version HTTP/1.0\r\n\r\n")
		if n, err := connection.Read(make([]byte, 100)); err == nil {
			t.Errorf("etcd answers %d bytes to a client without a certificate", n)
		}
	}
}

// kube-proxy asks nobody who he is, so only root reaches its metrics.
func testMetricsAreRootsAlone(t *testing.T) {
	for uid, want := range map[uint32]bool{0: true, 65534: false} {
		read := exec.Command("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/20249")
		read.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		if output, err := read.CombinedOutput(); (err == nil) != want {
			t.Errorf("user %d reaches kube-proxy's metrics: %v, want %v: %s", uid, err == nil, want, output)
		}
	}
}

// A neighbour with a route to the cluster's network, here a network namespace,
// reaches nothing in it: no node, no pod and no Service.
func testNeighbours(t *testing.T) {
	c := running(t)
	addresses := []string{"10.118.0.1:6443", "10.118.0.1:9000", "10.118.0.2:53", "10.118.0.11:10250", "10.118.0.1:20443", registryAddress}
	for _, pod := range c.pods(t, "production", "") {
		if !pod.Spec.HostNetwork {
			addresses = append(addresses, pod.Status.PodIP+":8000", pod.Status.PodIP+":5432")
		}
	}
	services, err := c.CoreV1().Services("production").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range services.Items {
		if service.Spec.ClusterIP == core.ClusterIPNone {
			continue
		}
		for _, port := range service.Spec.Ports {
			addresses = append(addresses, fmt.Sprintf("%s:%d", service.Spec.ClusterIP, port.Port))
		}
	}
	script := `set -eu
unshare --net sleep 120 &
neighbour=$!
trap 'ip link delete berth-lan; kill $neighbour' EXIT
until [ "$(readlink /proc/$neighbour/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.1; done
inside() { nsenter --target $neighbour --net "$@"; }
ip link add berth-lan type veth peer name eth0 netns $neighbour
ip address add 192.168.77.1/24 dev berth-lan
ip link set berth-lan up
inside ip address add 192.168.77.2/24 dev eth0
inside ip link set eth0 up
inside ip route add 10.118.0.0/16 via 192.168.77.1
refused=$(inside timeout 5 bash -c 'exec 3<>/dev/tcp/192.168.77.1/1' 2>&1) || true
case $refused in *refused*) ;; *) echo "this machine itself: $refused"; exit 1 ;; esac
for address; do
	if inside timeout 1 bash -c "exec 3<>/dev/tcp/${address%:*}/${address#*:}" 2>/dev/null; then echo "$address"; fi
done
`
	output, err := exec.Command("bash", append([]string{"-c", script, "neighbour"}, addresses...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if len(output) > 0 {
		t.Errorf("a neighbour reaches %s", bytes.ReplaceAll(bytes.TrimSpace(output), []byte("\n"), []byte(", ")))
	}
	if len(addresses) < 12 {
		t.Errorf("looked at only %d addresses", len(addresses))
	}
}

// Nothing listens where others than this machine could reach it.
func testListeners(t *testing.T) {
	then, err := recordedMachine()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, listener := range listeners(t) {
		if _, before := then["listener "+listener.String()]; before {
			continue
		}
		seen++
		if address := listener.Addr(); !address.IsLoopback() && !machineNetwork.Contains(address) {
			t.Errorf("something new listens on %s", listener)
		}
	}
	if seen < 10 {
		t.Errorf("only %d listeners are new: the test does not see those of the cluster", seen)
	}
}

// listeners are the addresses at which this machine takes TCP connections.
func listeners(t *testing.T) []netip.AddrPort {
	t.Helper()
	found, err := listening()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// listening reads /proc/net/tcp (proc_pid_net(5)): addresses are in
// hexadecimal, each four bytes in the machine's order, and 0A is LISTEN.
func listening() ([]netip.AddrPort, error) {
	var all []netip.AddrPort
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(content)) {
			fields := strings.Fields(line)
			if len(fields) < 4 || fields[3] != "0A" {
				continue
			}
			address, port, _ := strings.Cut(fields[1], ":")
			raw, err := hex.DecodeString(address)
			if err != nil {
				return nil, err
			}
			for i := 0; i < len(raw); i += 4 {
				raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
			}
			ip, _ := netip.AddrFromSlice(raw)
			number, err := strconv.ParseUint(port, 16, 16)
			if err != nil {
				return nil, err
			}
			all = append(all, netip.AddrPortFrom(ip.Unmap(), uint16(number)))
		}
	}
	return all, nil
}

// Secrets are in Secrets and in files that only root reads: in no argument, no
// log and no plain text of etcd's.
func (c *cluster) testSecrets(t *testing.T) {
	secrets := map[string]string{
		"the bucket's access key": readFile(t, state+"/pki/bucket-access.key")[:20],
		"the bucket's secret key": readFile(t, state+"/pki/bucket-secret.key"),
		"the log agent's key":     readFile(t, state+"/pki/logs-secret.key"),
		"the key of etcd":         readFile(t, state+"/pki/secrets.key"),
	}
	for namespace, names := range map[string][]string{"staging": {"realworld-env"}, "production": {"realworld-env", "realworld-postgresql"}} {
		for _, name := range names {
			secret, err := c.CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for key, value := range secret.Data {
				if len(value) < 20 {
					t.Errorf("%s of %s/%s is short: %d bytes", key, namespace, name, len(value))
				}
				secrets[key+" of "+namespace] = string(value)
			}
		}
	}
	if len(secrets) != 7 {
		t.Errorf("found %d secrets to look for, want 7", len(secrets))
	}
	holds := func(where string, content []byte) {
		for what, secret := range secrets {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s is in %s", what, where)
			}
		}
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if content, err := os.ReadFile(line); err == nil {
			holds(line+" "+string(content), content)
		}
	}
	files := 0
	for _, folder := range []string{"supervisor/logs", "pod-logs", "etcd"} {
		eachFile(t, filepath.Join(state, folder), func(path string, _ fs.FileInfo) {
			files++
			holds(path, []byte(readFile(t, path)))
		})
	}
	if files < 15 {
		t.Errorf("looked into only %d files", files)
	}
}

// eachFile visits the regular files below a folder.
func eachFile(t *testing.T, folder string, visit func(string, fs.FileInfo)) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			visit(path, info)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Files with keys, and the folder that everything is in, are root's alone.
func testModes(t *testing.T) {
	keys := 0
	for _, folder := range []string{"pki", "kubeconfig", "etc", "supervisor"} {
		eachFile(t, filepath.Join(state, folder), func(path string, info fs.FileInfo) {
			content := readFile(t, path)
			secret := strings.HasSuffix(path, ".key") || strings.Contains(content, "PRIVATE KEY") ||
				strings.Contains(content, "client-key") || strings.Contains(content, "SECRET") || strings.Contains(content, "secretbox")
			if !secret {
				return
			}
			keys++
			if mode := info.Mode().Perm(); mode != 0o600 {
				t.Errorf("%s has mode %04o, want 0600", path, mode)
			}
		})
	}
	if keys < 10 {
		t.Errorf("found only %d files with keys", keys)
	}
	info, err := os.Stat(state)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o700 {
		t.Errorf("%s has mode %04o, want 0700", state, mode)
	}
}

// The applications' processes run as nobody in particular, and cannot talk to
// the API server.
func (c *cluster) testPodSecurity(t *testing.T) {
	seen := 0
	for _, namespace := range []string{"staging", "production"} {
		for _, pod := range c.pods(t, namespace, "") {
			for _, pid := range podProcesses(t, pod) {
				seen++
				checkProcess(t, pod, pid)
			}
		}
	}
	if seen < 4 {
		t.Errorf("saw only %d processes of pods", seen)
	}
}

func checkProcess(t *testing.T, pod core.Pod, pid int) {
	t.Helper()
	status := readFile(t, fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(status) {
		fields := strings.Fields(line)
		switch fields[0] {
		case "Uid:", "Gid:":
			if fields[1] == "0" {
				t.Errorf("%s/%s: process %d runs as root: %s", pod.Namespace, pod.Name, pid, line)
			}
		case "CapEff:", "CapPrm:", "CapBnd:":
			if strings.Trim(fields[1], "0") != "" {
				t.Errorf("%s/%s: process %d has capabilities: %s", pod.Namespace, pod.Name, pid, line)
			}
		case "NoNewPrivs:":
			if fields[1] != "1" {
				t.Errorf("%s/%s: process %d may gain privileges", pod.Namespace, pod.Name, pid)
			}
		case "Seccomp:":
			if fields[1] == "0" {
				t.Errorf("%s/%s: process %d has no seccomp profile", pod.Namespace, pod.Name, pid)
			}
		}
	}
	if exists(fmt.Sprintf("/proc/%d/root/var/run/secrets/kubernetes.io/serviceaccount/token", pid)) {
		t.Errorf("%s/%s: process %d has a token for the API server", pod.Namespace, pod.Name, pid)
	}
}
