package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// containerGrace is how long a container has between SIGTERM and SIGKILL when
// the cluster stops: PostgreSQL's fast shutdown takes a moment.
const containerGrace = 30 * time.Second

// containers is a node's containerd, spoken to as the kubelet does (the
// Container Runtime Interface).
type containers struct {
	connection *grpc.ClientConn
	runtime    cri.RuntimeServiceClient
	images     cri.ImageServiceClient
}

func dialContainers(ctx context.Context, socket string) (*containers, error) {
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connect to containerd: %w", err)
	}
	c := &containers{connection, cri.NewRuntimeServiceClient(connection), cri.NewImageServiceClient(connection)}
	for {
		_, err := c.runtime.Version(ctx, &cri.VersionRequest{}, grpc.WaitForReady(true))
		if err == nil {
			return c, nil
		}
		select {
		case <-ctx.Done():
			connection.Close()
			// gRPC has an error of its own for a context that ended.
			return nil, fmt.Errorf("wait for containerd at %s: %w: %w", socket, context.Cause(ctx), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// removeAll stops every container within its grace and removes all pods, with
// their networks and mounts.
func (c *containers) removeAll(ctx context.Context) error {
	defer c.connection.Close()
	pods, err := c.runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	list, err := c.runtime.ListContainers(ctx, &cri.ListContainersRequest{})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	var stopping errgroup.Group
	for _, container := range list.Containers {
		stopping.Go(func() error {
			_, err := c.runtime.StopContainer(ctx, &cri.StopContainerRequest{
				ContainerId: container.Id, Timeout: int64(containerGrace.Seconds()),
			})
			return err
		})
	}
	if err := stopping.Wait(); err != nil {
		return fmt.Errorf("stop containers: %w", err)
	}
	var removing errgroup.Group
	for _, pod := range pods.Items {
		removing.Go(func() error {
			if _, err := c.runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: pod.Id}); err != nil {
				return err
			}
			_, err := c.runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: pod.Id})
			return err
		})
	}
	if err := removing.Wait(); err != nil {
		return fmt.Errorf("remove pods: %w", err)
	}
	return nil
}

// sweep ends what containerd leaves when it ends: the shims that serve the
// sockets of our nodes, with their containers, and mounts below our folders.
func sweep(socketDir string) error {
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, file := range processes {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		arguments := strings.Split(string(content), "\x00")
		address := slices.Index(arguments, "-address") + 1
		if !strings.HasPrefix(filepath.Base(arguments[0]), "containerd-shim") || address == 0 || address >= len(arguments) ||
			!strings.HasPrefix(arguments[address], socketDir+"/") {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(file, "/")[2])
		if err != nil {
			return err
		}
		endFamily(pid)
	}
	return errors.Join(unmountBelow(socketDir), removeDeadSockets())
}

// shimSockets is where every containerd of the machine has its shims' sockets,
// wherever its state is. Their names are hashes: nothing in them tells whose
// they are.
const shimSockets = "/run/containerd/s"

// removeDeadSockets removes the sockets of shims that were killed, by us or
// with everything else in a power failure. Nobody can use a socket that
// refuses connections.
func removeDeadSockets() error {
	sockets, err := filepath.Glob(shimSockets + "/*")
	if err != nil {
		return err
	}
	var problems []error
	for _, socket := range sockets {
		connection, err := net.Dial("unix", socket)
		if err == nil {
			connection.Close()
		}
		if errors.Is(err, unix.ECONNREFUSED) {
			problems = append(problems, os.Remove(socket))
		}
	}
	return errors.Join(problems...)
}

// endFamily kills a process and its children, and waits until they are gone:
// they hold mounts and cgroups.
func endFamily(pid int) {
	family := []int{pid}
	if content, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)); err == nil {
		for _, child := range strings.Fields(string(content)) {
			if id, err := strconv.Atoi(child); err == nil {
				family = append(family, id)
			}
		}
	}
	for _, member := range slices.Backward(family) { // containers before their shim
		unix.Kill(member, unix.SIGKILL) //nolint:errcheck // gone already is as good
	}
	for _, member := range family {
		for range 50 {
			// A dead process that nobody reaps holds nothing.
			if link, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", member)); err != nil || link == "" {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// unmountBelow unmounts everything below a folder, the deepest first.
func unmountBelow(folder string) error {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	var mounts []string
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			// Blanks are escaped there (proc_pid_mountinfo(5)).
			if path := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`).Replace(fields[4]); strings.HasPrefix(path, folder+"/") {
				mounts = append(mounts, path)
			}
		}
	}
	var problems []error
	for _, mount := range slices.Backward(mounts) {
		err := unix.Unmount(mount, 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EINVAL) {
			err = unix.Unmount(mount, unix.MNT_DETACH)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EINVAL) {
			problems = append(problems, fmt.Errorf("unmount %s: %w", mount, err))
		}
	}
	return errors.Join(problems...)
}
