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
	measured, err := processes("realworld", "postgres")
	if err != nil {
		return err
	}
	others, err := processes("collector", "containerd", "berth-kube")
	if err != nil {
		return err
	}
	for processor, pids := range [][]int{append(measured, os.Getpid()), others} {
		undo, pinErr := pin(pids, processor)
		defer func() { err = errors.Join(err, undo()) }()
		if pinErr != nil {
			return pinErr
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

// pin lets processes run on one processor only, until undo.
func pin(pids []int, processor int) (undo func() error, err error) {
	before := map[int]unix.CPUSet{}
	undo = func() error {
		var problems []error
		for thread, set := range before {
			// One that has ended needs nothing.
			if err := unix.SchedSetaffinity(thread, &set); err != nil && !errors.Is(err, unix.ESRCH) {
				problems = append(problems, fmt.Errorf("let thread %d run anywhere: %w", thread, err))
			}
		}
		return errors.Join(problems...)
	}
	var only unix.CPUSet
	only.Set(processor)
	for _, pid := range pids {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		if err != nil {
			return undo, err
		}
		for _, path := range threads {
			thread, err := strconv.Atoi(filepath.Base(path))
			if err != nil {
				return undo, err
			}
			var set unix.CPUSet
			err = unix.SchedGetaffinity(thread, &set)
			if err == nil {
				before[thread] = set
				err = unix.SchedSetaffinity(thread, &only)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return undo, fmt.Errorf("give thread %d processor %d: %w", thread, processor, err)
			}
		}
	}
	return undo, nil
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
