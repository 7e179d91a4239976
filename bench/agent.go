package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"berth/internal/fault"
)

// measureAgent measures what the log agent costs the application: the same load
// on a pod of production in the cluster of this machine, which logs a line for
// each request, with the agents halted and running. First all of them share the
// processors, and there are not enough: what the agent takes, the application
// lacks. Then the application has one of its own, with its database and the load
// generator.
func measureAgent(ctx context.Context, options options, kubeconfig string) (err error) {
	base, err := productionPod(ctx, kubeconfig)
	if err != nil {
		return fault.WithHint(err, "it takes the cluster of this machine: make up")
	}
	agents, err := processes("collector")
	if err != nil {
		return err
	}
	if len(agents) == 0 {
		return fault.WithHint(errors.New("there is no log agent on this machine"), "make up")
	}
	defer func() { err = errors.Join(err, signalAll(agents, syscall.SIGCONT)) }()
	if err := compareAgent(ctx, options, base, agents, "all share the processors"); err != nil {
		return err
	}

	if runtime.NumCPU() < 2 {
		return errors.New("there is no second processor to leave to the agent")
	}
	// What is measured, with this process for the load generator that it starts,
	// and what works for it. The container runtime copies every line.
	measured, others := []string{"realworld", "postgres", filepath.Base(os.Args[0])}, []string{"collector", "containerd", "berth-kube"}
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("ask for this process's processors: %w", err)
	}
	// By their names again, for those that have begun meanwhile.
	defer func() { err = errors.Join(err, allow(all, append(measured, others...)...)) }()
	for processor, names := range [][]string{measured, others} {
		var only unix.CPUSet
		only.Set(processor)
		if err := allow(only, names...); err != nil {
			return err
		}
	}
	return compareAgent(ctx, options, base, agents, "the application has a processor of its own")
}

// compareAgent prints the figures with the agents halted and running, in turns:
// each round has both in one order and in the other, as machines drift.
func compareAgent(ctx context.Context, options options, base string, agents []int, setting string) error {
	list := load{name: "list", path: "/api/articles"}
	var halted, running, costs []float64
	var used time.Duration
	for i := range options.rounds {
		fmt.Fprintf(os.Stderr, "%s, round %d of %d\n", setting, i+1, options.rounds)
		var sums [2]float64
		for _, run := range []int{0, 1, 1, 0} {
			if err := signalAll(agents, []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT}[run]); err != nil {
				return err
			}
			// The lines that were written meanwhile are read first; and the
			// machine has rested as long as for the other run.
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(options.duration):
			}
			before := agentTime(agents)
			result, err := wrk(ctx, options, "", base, list)
			if err != nil {
				return err
			}
			used += agentTime(agents) - before
			sums[run] += result.perSecond / 2
		}
		halted, running, costs = append(halted, sums[0]), append(running, sums[1]), append(costs, 100*(1-sums[1]/sums[0]))
	}
	slices.Sort(costs)
	fmt.Printf("%s: %.0f requests/s of one pod, a line logged for each, with the log agent halted, %.0f with it running\n", setting, middle(halted), middle(running))
	fmt.Printf("\tit costs %.1f %% (of rounds: %.1f to %.1f %%) and used %.2f cores\n", middle(costs), costs[0], costs[len(costs)-1],
		used.Seconds()/(2*options.duration.Seconds()*float64(options.rounds)))
	return nil
}

// allow lets the processes of these names run on these processors alone.
func allow(processors unix.CPUSet, names ...string) error {
	pids, err := processes(names...)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		if err != nil {
			return err
		}
		for _, path := range threads {
			thread, err := strconv.Atoi(filepath.Base(path))
			if err != nil {
				return err
			}
			// One that has ended needs nothing.
			if err := unix.SchedSetaffinity(thread, &processors); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("choose the processors of thread %d: %w", thread, err)
			}
		}
	}
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

// processes are those of this machine whose program's name begins with one of
// these.
func processes(names ...string) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		program, _, _ := strings.Cut(string(line), "\x00")
		if !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(filepath.Base(program), name) }) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
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
