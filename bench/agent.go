package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"berth/internal/fault"
)

// agentOnly chooses what fits into ten minutes: what stands for real traffic in
// both settings, each of its requests in the first.
const agentOnly = "^shared|mix$"

// measureAgent measures what the log agent costs the application: the same load
// on one pod, which logs a line for each request, with the agents of this
// machine halted and running. The pod is the bench's own, with content of its
// own ([startApplication]). What stays is its lines, which the agent sends where
// it sends all lines.
//
// First all of them share the processors, and there are not enough: what the
// agent takes, the application does not have. Then the application has one of its own,
// with its database and the load generator.
func measureAgent(ctx context.Context, options options, kubeconfig string) (err error) {
	client, err := connect(kubeconfig)
	if err != nil {
		return err
	}
	agentPods, err := logAgents(ctx, client)
	if err != nil {
		return err
	}
	agents, err := processes(inPods(agentPods...))
	if err != nil {
		return err
	}
	if len(agents) == 0 {
		return fault.WithHint(errors.New("there is no log agent on this machine"), "It takes the cluster of this machine: make up")
	}
	// Those of this machine; this process may be allowed only some of them.
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(1, &all); err != nil {
		return fmt.Errorf("ask for the machine's processors: %w", err)
	}
	var application []*corev1.Pod
	// What is measured, with this process for the load generator that it starts,
	// and what works for it: the container runtime copies every line. They are
	// looked up each time, for those that have begun meanwhile.
	measured := func(pid int) bool { return pid == os.Getpid() || inPods(application...)(pid) }
	others := func(pid int) bool { return inPods(agentPods...)(pid) || named("containerd", "berth-kube")(pid) }
	restore := func() error {
		return errors.Join(signalAll(agents, syscall.SIGCONT), allow(all, measured), allow(all, others))
	}

	// A run that was killed has left what this one begins with.
	if err := errors.Join(restore(), removeApplication(ctx, client)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeApplication(context.WithoutCancel(ctx), client)) }()
	defer func() { err = errors.Join(err, restore()) }()
	if application, err = startApplication(ctx, client); err != nil {
		return err
	}
	web := application[len(application)-1]
	loads, err := agentLoads(ctx, podAddress(web))
	if err != nil {
		return err
	}

	c := comparison{options, "http://" + podAddress(web), agents, agentPods}
	if err := c.measure(ctx, "shared", "all share the processors", loads); err != nil {
		return err
	}
	if !c.chosen("apart", loads) {
		return nil
	}
	if runtime.NumCPU() < 2 {
		return fault.WithHint(errors.New("there is no second processor to leave to the agent"), "Leave that out: -only shared")
	}
	for processor, processes := range []func(int) bool{measured, others} {
		var only unix.CPUSet
		only.Set(processor)
		if err := allow(only, processes); err != nil {
			return err
		}
	}
	return c.measure(ctx, "apart", "the application, its database and the load generator have one processor, all else the other", loads)
}

// agentLoads are a mix of requests that stands for real traffic, and each of
// them alone. Not logging in, which makes few lines by design.
func agentLoads(ctx context.Context, address string) ([]load, error) {
	alone, err := loads(ctx, address)
	if err != nil {
		return nil, err
	}
	alone = slices.DeleteFunc(alone, func(l load) bool { return l.name == "login" })
	mix := load{name: "mix"}
	for _, name := range []string{"list", "article", "feed", "list", "tags", "article", "list", "feed", "article", "list"} {
		i := slices.IndexFunc(alone, func(l load) bool { return l.name == name })
		mix.turns = append(mix.turns, alone[i])
	}
	return append([]load{mix}, alone...), nil
}

// A comparison is of an application with the log agents halted and running.
type comparison struct {
	options   options
	base      string // the application's URL
	agents    []int
	agentPods []*corev1.Pod
}

// chosen reports whether any of the loads is to be measured in this setting.
func (c comparison) chosen(setting string, loads []load) bool {
	return slices.ContainsFunc(loads, func(l load) bool { return c.options.only.MatchString(setting + " " + l.name) })
}

// measure prints a line for each load that is chosen in this setting.
func (c comparison) measure(ctx context.Context, setting, explained string, loads []load) error {
	if !c.chosen(setting, loads) {
		return nil
	}
	fmt.Printf("%s: %s\n%8s  %12s  %12s  %28s  %10s  %8s  %8s\n", setting, explained,
		"request", "halted req/s", "running", "costs (of rounds)", "agent", "lines/s", "per line")
	for _, load := range loads {
		if !c.options.only.MatchString(setting + " " + load.name) {
			continue
		}
		if err := c.compare(ctx, setting, load); err != nil {
			return fmt.Errorf("%s %s: %w", setting, load.name, err)
		}
	}
	return nil
}

// compare measures one load with the agents halted and running, in turns: each
// round has both in one order and in the other, as machines drift. Of rounds,
// medians count; what the agents did is of all of them.
func (c comparison) compare(ctx context.Context, setting string, load load) error {
	var halted, running, costs []float64
	var agents work
	requests := 0
	for i := range c.options.rounds {
		fmt.Fprintf(os.Stderr, "measure %s %s, round %d of %d\n", setting, load.name, i+1, c.options.rounds)
		var sums [2]float64
		for _, run := range []int{0, 1, 1, 0} {
			if err := signalAll(c.agents, []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT}[run]); err != nil {
				return err
			}
			// The lines that were written meanwhile are read first; and the
			// machine has rested as long as for the other run.
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(c.options.duration):
			}
			var result figures
			attack := func() (err error) {
				result, err = wrk(ctx, c.options, c.base, load)
				return err
			}
			if run == 0 {
				if err := attack(); err != nil {
					return err
				}
			} else {
				done, err := c.during(ctx, attack)
				if err != nil {
					return err
				}
				agents = work{agents.time + done.time, agents.used + done.used, agents.lines + done.lines}
				requests += result.requests
			}
			sums[run] += result.perSecond / 2
		}
		halted, running, costs = append(halted, sums[0]), append(running, sums[1]), append(costs, 100*(1-sums[1]/sums[0]))
	}
	// They cannot cost what they do not do.
	if agents.lines < requests/2 {
		return fmt.Errorf("the log agents have taken %d lines of %d requests", agents.lines, requests)
	}
	fmt.Printf("%8s  %12.0f  %12.0f  %28s  %4.2f cores  %8.0f  %8s\n", load.name, middle(halted), middle(running),
		fmt.Sprintf("%.1f %% (%.1f to %.1f %%)", middle(costs), slices.Min(costs), slices.Max(costs)),
		agents.used.Seconds()/agents.time.Seconds(), float64(agents.lines)/agents.time.Seconds(), perRequest(agents.used, agents.lines))
	return nil
}

// work is what the agents did in some time: the processor time that they used,
// and the lines that they took in.
type work struct {
	time, used time.Duration
	lines      int
}

// during tells what the agents do while something else is done. Asking them is
// not counted.
func (c comparison) during(ctx context.Context, do func() error) (work, error) {
	before, err := linesTaken(ctx, c.agentPods)
	if err != nil {
		return work{}, err
	}
	began, used := time.Now(), agentTime(c.agents)
	if err := do(); err != nil {
		return work{}, err
	}
	done := work{time: time.Since(began), used: agentTime(c.agents) - used}
	after, err := linesTaken(ctx, c.agentPods)
	done.lines = after - before
	return done, err
}

func agentTime(pids []int) (total time.Duration) {
	for _, pid := range pids {
		total += cpuTime(pid, ownTime)
	}
	return total
}

// linesTaken asks the agents how many lines they have taken since they began.
func linesTaken(ctx context.Context, agents []*corev1.Pod) (total int, err error) {
	for _, agent := range agents {
		metrics, err := get(ctx, "http://"+net.JoinHostPort(agent.Status.PodIP, "8888")+"/metrics")
		if err != nil {
			return 0, fmt.Errorf("ask the log agent: %w", err)
		}
		lines, err := parseLinesTaken(metrics)
		if err != nil {
			return 0, err
		}
		total += lines
	}
	return total, nil
}

func get(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return string(content), errors.Join(err, response.Body.Close())
}

var linesTakenMetric = regexp.MustCompile(`(?m)^otelcol_receiver_accepted_log_records(?:\{[^}\n]*\})? (\S+)$`)

// parseLinesTaken reads Prometheus' text format. Before an agent's first line
// there is no such metric.
func parseLinesTaken(metrics string) (total int, err error) {
	for _, found := range linesTakenMetric.FindAllStringSubmatch(metrics, -1) {
		number, err := strconv.ParseFloat(found[1], 64)
		if err != nil {
			return 0, fmt.Errorf("the log agent's metrics: %w", err)
		}
		total += int(number)
	}
	return total, nil
}

// middle is the median.
func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
