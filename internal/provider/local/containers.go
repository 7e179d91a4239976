package local

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
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
