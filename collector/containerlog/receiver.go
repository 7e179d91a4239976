// Package containerlog reads the logs of a node's containers from the files
// that the container runtime writes, and makes OpenTelemetry's log records of
// them: partial lines and stack traces joined, secrets and e-mail addresses
// redacted.
//
// Following files, through rotation, compression and restarts, is what the
// published package fileconsumer does, as it does for the receiver file_log. This
// receiver takes the place of file_log with its operators container, recombine
// and json_parser for one reason: recombine keeps lines in memory that the saved
// place in the file is already past, so that kill -9 loses them. Here a
// record is cut from the file whole. Its cost is a fraction of the operators',
// too.
package containerlog

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/fileconsumer"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/fileconsumer/attrs"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"berth/collector/structure"
)

// EnvironmentKey is the key of the client metadata that says which environment,
// that is namespace, all records of a request are from.
const EnvironmentKey = "environment"

type logReceiver struct {
	id     component.ID
	config *Config
	next   consumer.Logs
	files  *fileconsumer.Manager
	places *places
	owners *owners
	report *receiverhelper.ObsReport
	log    *zap.Logger
}

func newReceiver(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
	r := &logReceiver{id: set.ID, config: cfg.(*Config), next: next, log: set.Logger}
	var err error
	r.report, err = receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{ReceiverID: set.ID, ReceiverCreateSettings: set})
	if err != nil {
		return nil, err
	}
	r.files, err = r.config.files().Build(set.TelemetrySettings, r.emit, fileconsumer.WithSplitFunc(splitRun))
	if err != nil {
		return nil, fmt.Errorf("follow log files: %w", err)
	}
	return r, nil
}

// files is what of the node's log files is read, and how.
func (c *Config) files() *fileconsumer.Config {
	f := fileconsumer.NewConfig()
	for _, namespace := range c.Namespaces {
		pods := filepath.Join(c.Folder, namespace+"_*", "*")
		// A file that was rotated while nobody read may be compressed by now.
		f.Include = append(f.Include, filepath.Join(pods, "*.log"), filepath.Join(pods, "*.log.*"))
	}
	// What the kubelet is just writing, and this agent's own log, which would
	// feed itself.
	f.Exclude = []string{filepath.Join(c.Folder, "*", "*", "*.tmp"), filepath.Join(c.Folder, "*", "collector", "*")}
	f.Compression = "auto"
	f.StartAt = "beginning"
	f.PollInterval = c.PollInterval
	f.FlushPeriod = c.FlushPeriod
	f.Encoding = "nop"
	f.InitialBufferSize = 64 << 10
	// Twice what a record may have: the bound on records is to be met first.
	f.MaxLogSize = 2 * maxRecord
	f.Resolver = attrs.Resolver{IncludeFilePath: true}
	return f
}

func (r *logReceiver) Start(ctx context.Context, host component.Host) error {
	r.places = &places{Client: storage.NewNopClient()}
	if id := r.config.Storage; id != nil {
		extension, ok := host.GetExtensions()[*id].(storage.Extension)
		if !ok {
			return fmt.Errorf("open the storage of offsets: there is no storage extension %s", id)
		}
		client, err := extension.GetClient(ctx, component.KindReceiver, r.id, "")
		if err != nil {
			return fmt.Errorf("open the storage of offsets: %w", err)
		}
		r.places = &places{Client: client}
	}
	var err error
	if r.owners, err = newOwners(r.config.ServiceAccount, r.log); err != nil {
		return err
	}
	if err := r.files.Start(r.places); err != nil {
		return fmt.Errorf("follow log files: %w", err)
	}
	return nil
}

func (r *logReceiver) Shutdown(ctx context.Context) error {
	if r.places == nil {
		return nil
	}
	r.places.stopped.Store(true)
	if err := r.files.Stop(); err != nil {
		return fmt.Errorf("stop following log files: %w", err)
	}
	return r.places.Close(ctx)
}

// maxPassed is how many bytes of a file are passed on at once, so that neither
// memory nor a request of a sink grows with the backlog. A run or a long record
// may go beyond it.
const maxPassed = 256 << 10

// emit passes on runs of records of one file. It returns only when they are in
// the queues of all sinks: after that the file's offset is moved, so whatever
// becomes of the process, each is delivered at least once.
func (r *logReceiver) emit(_ context.Context, runs [][]byte, attributes map[string]any, _ int64, _ []int64) error {
	path, _ := attributes[attrs.LogFilePath].(string)
	for size, begin, i := 0, 0, 0; i < len(runs); i++ {
		size += len(runs[i])
		if size >= maxPassed || i == len(runs)-1 {
			r.pass(runs[begin:i+1], path)
			begin, size = i+1, 0
		}
	}
	return nil
}

// pass gives records to the next component until it takes them.
func (r *logReceiver) pass(runs [][]byte, path string) {
	const longest = 5 * time.Second
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, longest) {
		// A sink that refuses records may have changed them: each attempt has its own.
		logs, environment := r.logs(runs, path)
		ctx := client.NewContext(context.Background(), client.Info{
			Metadata: client.NewMetadata(map[string][]string{EnvironmentKey: {environment}}),
		})
		count := logs.LogRecordCount()
		operation := r.report.StartLogsOp(ctx)
		err := r.next.ConsumeLogs(ctx, logs)
		r.report.EndLogsOp(operation, "container", count, err)
		if err == nil {
			return
		}
		// The memory limiter refuses, or the disk is full. To give up would
		// move the offset, so there is nothing but to try again; should the
		// process be stopped meanwhile, the lines are read again.
		r.log.Warn("log lines are not taken; trying again", zap.Error(err), zap.Int("lines", count))
		time.Sleep(wait)
	}
}

// logs makes records of what was cut from a file, and says which namespace it is
// of.
func (r *logReceiver) logs(runs [][]byte, path string) (plog.Logs, string) {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	pod := podOf(path)
	attributes := resource.Resource().Attributes()
	attributes.EnsureCapacity(8)
	attributes.PutStr("k8s.namespace.name", pod.namespace)
	attributes.PutStr("k8s.pod.name", pod.name)
	attributes.PutStr("k8s.pod.uid", pod.uid)
	attributes.PutStr("k8s.container.name", pod.container)
	attributes.PutStr("k8s.container.restart_count", pod.restart)
	attributes.PutStr("k8s.node.name", r.config.Node)
	if owner := r.owners.of(pod); owner.key != "" {
		attributes.PutStr(owner.key, owner.name)
	}
	list := resource.ScopeLogs().AppendEmpty().LogRecords()
	now := time.Now()
	var parser structure.Parser
	var found []record
	for _, run := range runs {
		for len(run) > 0 {
			var token []byte
			token, run = cut(run)
			found = records(token, found[:0])
			for _, record := range found {
				record.putTo(list.AppendEmpty(), &parser, now)
			}
		}
	}
	return logs, pod.namespace
}

// pod is what the path of a log file says of the container that writes it.
type pod struct{ namespace, name, uid, container, restart string }

// podOf reads a path that the kubelet made:
// <folder>/<namespace>_<pod>_<uid>/<container>/<restarts>.log[.<time>].
func podOf(path string) pod {
	folder, file := filepath.Split(path)
	folder, container := filepath.Split(filepath.Clean(folder))
	namespace, rest, _ := strings.Cut(filepath.Base(folder), "_")
	name, uid, _ := strings.Cut(rest, "_")
	restart, _, _ := strings.Cut(file, ".")
	return pod{namespace, name, uid, container, restart}
}
