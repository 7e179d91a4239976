// Command rehearse measures what a rehearsal takes, by phase, on the cluster of this
// machine:
//
//	make up
//	make bench-rehearse
//
// What is rehearsed is the application of production, with a database of its own that is
// filled up to a size, in a namespace of its own. Namespace and backups are removed at the
// end.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"berth/internal/fault"
)

func main() {
	rounds := flag.Int("rounds", 3, "how often it is rehearsed; the median of each phase counts")
	megabytes := flag.Int("megabytes", 1000, "how large the database is")
	program := flag.String("berth", "bin/berth", "the berth to measure")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *program, *rounds, *megabytes); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		if hint := fault.Hint(err); hint != "" {
			fmt.Fprintln(os.Stderr, hint)
		}
		os.Exit(1)
	}
}

// name is that of the application, its environment and so its namespace.
const name = "bench-rehearse"

func run(ctx context.Context, program string, rounds, megabytes int) (err error) {
	if program, err = filepath.Abs(program); err != nil {
		return err
	}
	state := os.Getenv("XDG_STATE_HOME")
	if state == "" {
		state = "/var/lib"
	}
	state = filepath.Join(state, "berth", "local")
	reach, err := clientcmd.BuildConfigFromFlags("", filepath.Join(state, "kubeconfig", "berth-admin.yaml"))
	if err != nil {
		return fault.WithHint(fmt.Errorf("reach the cluster of this machine: %w", err), "make up")
	}
	client, err := kubernetes.NewForConfig(reach)
	if err != nil {
		return err
	}
	web, err := client.AppsV1().Deployments("production").Get(ctx, "realworld", metav1.GetOptions{})
	if err != nil {
		return fault.WithHint(fmt.Errorf("look for the application of production: %w", err), "make up")
	}
	image := web.Spec.Template.Spec.Containers[0].Image
	b := bench{program: program}
	if b.folder, err = os.MkdirTemp("", "bench-rehearse-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.folder)
	if err := os.WriteFile(filepath.Join(b.folder, "berth.yaml"), fmt.Appendf(nil, berthYAML, name, image), 0o644); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove(client, state)) }()
	if err := b.prepare(ctx, megabytes); err != nil {
		return err
	}
	var reports []report
	for round := range rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, rounds)
		text, err := b.berth(ctx, "rehearse", name, "--image", image, "--json")
		if err != nil {
			return err
		}
		var r report
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("read the report: %w", err)
		}
		reports = append(reports, r)
	}
	return write(os.Stdout, reports)
}

const berthYAML = `name: %[1]s
provider: local
image: %[2]s
port: 8000
health: /readyz
user: 65532
writable: [/tmp]
secrets: [CONDUIT_SECRET]
environments:
  %[1]s:
    hosts: [%[1]s.localhost]
    database: postgres
    backup: {schedule: "0 3 * * *"}
`

// bench is berth, called for a folder.
type bench struct{ program, folder string }

// prepare deploys the application, fills its database and backs it up.
func (b bench) prepare(ctx context.Context, megabytes int) error {
	// A row of 1 kB that does not compress away: 32 digests.
	fill := fmt.Sprintf(`CREATE TABLE filling AS SELECT n, (SELECT string_agg(md5(n::text || '.' || m), '') FROM generate_series(1, 32) m) AS text FROM generate_series(1, %d) n;
ALTER TABLE filling ADD PRIMARY KEY (n)`, megabytes*1000)
	for _, arguments := range [][]string{
		{"deploy", name}, {"psql", name, "--write", "-c", fill}, {"backup", "now", "--env", name},
	} {
		fmt.Fprintln(os.Stderr, "berth", arguments[0])
		if _, err := b.berth(ctx, arguments...); err != nil {
			return err
		}
	}
	return nil
}

// berth runs a command and returns what it prints; an error holds what it said.
func (b bench) berth(ctx context.Context, arguments ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, b.program, append([]string{"-C", b.folder}, arguments...)...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	var out, said bytes.Buffer
	command.Stdout, command.Stderr = &out, &said
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("berth %s: %w\n%s%s", arguments[0], err, said.Bytes(), out.Bytes())
	}
	return out.Bytes(), nil
}

// remove removes the namespace and the backups.
func remove(client kubernetes.Interface, state string) error {
	err := client.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		err = nil
	}
	kept, globbed := filepath.Glob(filepath.Join(state, "buckets", "*", "*", name))
	err = errors.Join(err, globbed)
	for _, folder := range kept {
		err = errors.Join(err, os.RemoveAll(folder))
	}
	return err
}

// report is what matters here of berth rehearse --json.
type report struct {
	Good   bool
	Backup struct{ Bytes int64 }
	Phases []struct {
		Name    string
		Seconds float64
	}
	Seconds float64
}

// write prints the median of each phase, in the order of the first report.
func write(out io.Writer, reports []report) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "s, median\tleast\tmost\t")
	line := func(what string, of func(report) float64) {
		var all []float64
		for _, r := range reports {
			all = append(all, of(r))
		}
		slices.Sort(all)
		fmt.Fprintf(table, "%.1f\t%.1f\t%.1f\t  %s\n", all[len(all)/2], all[0], all[len(all)-1], what)
	}
	for i, phase := range reports[0].Phases {
		line(phase.Name, func(r report) float64 {
			if i < len(r.Phases) {
				return r.Phases[i].Seconds
			}
			return 0
		})
	}
	line(fmt.Sprintf("all, of a database of %.0f MB", float64(reports[0].Backup.Bytes)/1e6), func(r report) float64 { return r.Seconds })
	return table.Flush()
}
