package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"berth/internal/fault"
)

// measureAgent measures what the log agent costs the application: the same load
// on a pod of production in the cluster of this machine, which logs a line for
// each request, with the agents halted and running, in turns.
func measureAgent(ctx context.Context, options options, kubeconfig string) (err error) {
	base, err := productionPod(ctx, kubeconfig)
	if err != nil {
		return fault.WithHint(err, "it takes the cluster of this machine: make up")
	}
	agents, err := agentProcesses()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, signalAll(agents, syscall.SIGCONT)) }()
	list := load{name: "list", path: "/api/articles"}
	var halted, running []float64
	var used time.Duration
	for i := range options.rounds {
		fmt.Fprintf(os.Stderr, "measure the agent, round %d of %d\n", i+1, options.rounds)
		if err := signalAll(agents, syscall.SIGSTOP); err != nil {
			return err
		}
		without, err := wrk(ctx, options, "", base, list)
		if err != nil {
			return err
		}
		if err := signalAll(agents, syscall.SIGCONT); err != nil {
			return err
		}
		// The lines of the round before are read first.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(options.duration):
		}
		before := agentTime(agents)
		with, err := wrk(ctx, options, "", base, list)
		if err != nil {
			return err
		}
		used += agentTime(agents) - before
		halted, running = append(halted, without.perSecond), append(running, with.perSecond)
	}
	a, b := middle(halted), middle(running)
	fmt.Printf("requests/s of one pod, a line logged for each: %.0f with the log agent halted, %.0f with it running: it costs %.1f %%\n", a, b, 100*(1-b/a))
	fmt.Printf("the agent used %.2f cores meanwhile\n", used.Seconds()/(options.duration.Seconds()*float64(options.rounds)))
	return nil
}

func middle(values []float64) float64 {
	return slices.SortedFunc(slices.Values(values), cmp.Compare[float64])[len(values)/2]
}

// productionPod returns the URL of one of the application's pods.
func productionPod(ctx context.Context, kubeconfig string) (string, error) {
	reach, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return "", fmt.Errorf("read kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(reach)
	if err != nil {
		return "", err
	}
	pods, err := client.CoreV1().Pods("production").List(ctx, metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/component=web", FieldSelector: "status.phase=Running",
	})
	if err != nil {
		return "", fmt.Errorf("look for production's pods: %w", err)
	}
	if len(pods.Items) == 0 {
		return "", errors.New("there is no pod of production")
	}
	pod := pods.Items[0]
	return fmt.Sprintf("http://%s:%d", pod.Status.PodIP, pod.Spec.Containers[0].Ports[0].ContainerPort), nil
}

// agentProcesses are the log agents of this machine.
func agentProcesses() ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(line), "/collector\x00") {
			continue // another process, or one that has ended meanwhile
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	if len(pids) == 0 {
		return nil, fault.WithHint(errors.New("there is no log agent on this machine"), "make up")
	}
	return pids, nil
}

func signalAll(pids []int, s syscall.Signal) error {
	var problems []error
	for _, pid := range pids {
		problems = append(problems, syscall.Kill(pid, s))
	}
	return errors.Join(problems...)
}

func agentTime(pids []int) (total time.Duration) {
	for _, pid := range pids {
		total += cpuTime(pid, ownTime)
	}
	return total
}
