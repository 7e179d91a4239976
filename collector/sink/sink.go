// Package sink gives every way out of the agent the same promises, whichever
// published exporter it is made of:
//
//   - lines wait in a queue on the node's disk, bounded in bytes, and what the
//     bound drops is counted;
//   - a sink that cannot be reached, that asks to wait or that refuses the key is
//     tried again without a limit, at its own pace;
//   - content that a sink refuses is halved until the line at fault is alone, and
//     only that line is dropped, and counted;
//   - what the sink said last can be asked for, at the extension sink_status.
//
// The published exporters differ in all of these: the one for OTLP drops a
// batch when the key is wrong, for instance. So theirs are switched off, and
// the exporterhelper that they are made with is put around them once more.
package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
)

// afterRefusal is how long to wait when the key is wrong: long enough not to be
// locked out, short enough to notice that the key was corrected at the other end.
const afterRefusal = 30 * time.Second

// Queue is how lines wait for a sink, and Retry how it is tried again.
type (
	Queue = configoptional.Optional[exporterhelper.QueueBatchConfig]
	Retry = configretry.BackOffConfig
)

// Sink is an exporter with the promises above.
type Sink struct {
	exporter.Logs
	to     exporter.Logs
	status *status
	log    *zap.Logger
}

// New puts a queue and retries around an exporter that has none and returns the
// sink's own answers as errors.
func New(ctx context.Context, set exporter.Settings, cfg component.Config, queue Queue, retry Retry, to exporter.Logs) (*Sink, error) {
	s := &Sink{to: to, status: &status{name: set.ID.String()}, log: set.Logger}
	var err error
	s.Logs, err = exporterhelper.NewLogs(ctx, set, cfg, s.push,
		exporterhelper.WithStart(s.start),
		exporterhelper.WithShutdown(to.Shutdown),
		// Each exporter has a limit for one request. A push may need many.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{}),
		exporterhelper.WithRetry(retry),
		exporterhelper.WithQueue(queue))
	if err != nil {
		return nil, fmt.Errorf("make sink %s: %w", set.ID, err)
	}
	return s, nil
}

func (s *Sink) start(ctx context.Context, host component.Host) error {
	for _, e := range host.GetExtensions() {
		if e, ok := e.(*statusExtension); ok {
			e.add(s.status)
		}
	}
	return s.to.Start(ctx, withAnswers{host})
}

// ConsumeLogs puts lines into the queue. When that is full they are dropped for
// this sink alone, and counted: to refuse them would have them sent to the other
// sinks again.
func (s *Sink) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	count := logs.LogRecordCount()
	err := s.Logs.ConsumeLogs(ctx, logs)
	if errors.Is(err, exporterhelper.ErrQueueIsFull) {
		s.status.dropped(count)
		return nil
	}
	return err
}

// push sends a batch. What it returns is tried again, but for what it says was
// sent.
func (s *Sink) push(ctx context.Context, logs plog.Logs) error {
	rest, err := s.deliver(ctx, logs)
	if err == nil {
		return nil
	}
	s.status.failed(describe(err))
	again := errors.New(describe(err))
	if a := answerOf(err); a != nil {
		switch {
		case a.RetryAfter > 0:
			again = exporterhelper.NewThrottleRetry(again, a.RetryAfter)
		case a.refusesSender():
			again = exporterhelper.NewThrottleRetry(again, afterRefusal)
		}
	}
	return consumererror.NewLogs(again, rest)
}

// deliver returns what is still to be sent, and why it was not.
func (s *Sink) deliver(ctx context.Context, logs plog.Logs) (plog.Logs, error) {
	count := logs.LogRecordCount()
	err := s.to.ConsumeLogs(ctx, logs)
	if err == nil {
		s.status.sent(count)
		return plog.Logs{}, nil
	}
	if part, ok := errors.AsType[*rejection](err); ok {
		rejected := min(part.lines, count)
		s.status.sent(count - rejected)
		s.status.rejected(rejected, part.text)
		s.log.Error("the sink refuses lines of a request that it takes; they are dropped", zap.Int("lines", rejected), zap.String("answer", part.text))
		return plog.Logs{}, nil
	}
	if part, ok := errors.AsType[consumererror.Logs](err); ok {
		logs = part.Data()
		s.status.sent(count - logs.LogRecordCount())
		count = logs.LogRecordCount()
	}
	if a := answerOf(err); a == nil || !a.content {
		return logs, err
	}
	if count <= 1 {
		s.status.rejected(count, describe(err))
		s.log.Error("the sink refuses a line for what it holds; it is dropped", zap.String("answer", describe(err)))
		return plog.Logs{}, nil
	}
	first, second := halves(logs)
	if rest, err := s.deliver(ctx, first); err != nil {
		second.ResourceLogs().MoveAndAppendTo(rest.ResourceLogs())
		return rest, err
	}
	return s.deliver(ctx, second)
}

// halves parts a batch of at least two lines in the middle.
func halves(logs plog.Logs) (first, second plog.Logs) {
	middle, seen := logs.LogRecordCount()/2, 0
	first, second = plog.NewLogs(), plog.NewLogs()
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			// The same resource in both, each with some of the lines.
			targets := [2]plog.LogRecordSlice{}
			for i, half := range []plog.Logs{first, second} {
				r := half.ResourceLogs().AppendEmpty()
				resource.Resource().CopyTo(r.Resource())
				to := r.ScopeLogs().AppendEmpty()
				scope.Scope().CopyTo(to.Scope())
				targets[i] = to.LogRecords()
			}
			for _, record := range scope.LogRecords().All() {
				half := 0
				if seen >= middle {
					half = 1
				}
				record.CopyTo(targets[half].AppendEmpty())
				seen++
			}
		}
	}
	for _, half := range []plog.Logs{first, second} {
		half.ResourceLogs().RemoveIf(func(r plog.ResourceLogs) bool {
			return r.ScopeLogs().At(0).LogRecords().Len() == 0
		})
	}
	return first, second
}
