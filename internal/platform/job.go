package platform

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	batch "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth/internal/backup"
	"berth/internal/fault"
	"berth/internal/kube/own"
	"berth/internal/poll"
	"berth/internal/progress"
	"berth/internal/wal"
)

// jobStart bounds how long a Job's pod may take to run: its image is on the
// nodes, or has to be fetched first.
const jobStart = 5 * time.Minute

// jobPause is the time between two looks at a Job.
const jobPause = 500 * time.Millisecond

// Check tests whether backups can be made and verified, so that a problem does not
// show only at night. It notes what they would leave out.
func (b *Backups) Check(ctx context.Context, r progress.Reporter) error {
	return progress.Run(r, "Check that "+b.environment+" can be backed up", func(step progress.Step) error {
		last, err := b.run(ctx, task{name: "check", args: []string{"check"}}, step)
		if err != nil {
			return err
		}
		warnings, _ := last["warnings"].([]any)
		for _, warning := range warnings {
			r.Note(fmt.Sprint(warning))
		}
		return b.noteChecked(ctx)
	})
}

// checkedAnnotation on the CronJob says that backups could be made once.
const checkedAnnotation = "berth/checked"

func (b *Backups) noteChecked(ctx context.Context) error {
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"true"}}}`, checkedAnnotation)
	_, err := b.client.BatchV1().CronJobs(b.environment).Patch(ctx, b.name(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: own.Manager})
	if err != nil {
		return fmt.Errorf("note that backups can be made: %w", err)
	}
	return nil
}

// Checked reports whether Check has found nothing wrong since backups are scheduled.
func (b *Backups) Checked(ctx context.Context) (bool, error) {
	schedule, err := b.client.BatchV1().CronJobs(b.environment).Get(ctx, b.name(), metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("read the schedule of backups: %w", err)
	}
	return schedule.Annotations[checkedAnnotation] != "", nil
}

// Now makes a backup at once, and verifies and prunes as the schedule does. It
// returns the backup's ID.
func (b *Backups) Now(ctx context.Context, r progress.Reporter) (id string, err error) {
	return b.backUp(ctx, r, func(*corev1.Container) {})
}

// Safety makes a backup and prunes none: the one that is about to be restored
// may be the oldest.
func (b *Backups) Safety(ctx context.Context, r progress.Reporter) (id string, err error) {
	return b.backUp(ctx, r, func(container *corev1.Container) {
		for i := range container.Env {
			switch container.Env[i].Name {
			case "BACKUP_KEEP_LAST":
				container.Env[i].Value = strconv.Itoa(math.MaxInt32)
			case "BACKUP_CONTINUOUS":
				container.Env[i].Value = "false" // the stream goes on as it is
			}
		}
	})
}

func (b *Backups) backUp(ctx context.Context, r progress.Reporter, change func(*corev1.Container)) (id string, err error) {
	err = progress.Run(r, "Back up "+b.environment, func(step progress.Step) error {
		last, err := b.run(ctx, task{name: "now", args: []string{"run"}, change: change}, step)
		if err != nil {
			return err
		}
		var ok bool
		if id, ok = last["backup"].(string); !ok {
			return errors.New("the job ended without naming the backup it made")
		}
		return nil
	})
	return id, err
}

// Verify restores a backup into a scratch server in the job's pod and compares.
func (b *Backups) Verify(ctx context.Context, id string, r progress.Reporter) error {
	return progress.Run(r, "Verify backup "+id, func(step progress.Step) error {
		_, err := b.run(ctx, task{name: "verify", args: []string{"verify", id}}, step)
		return err
	})
}

// Restore restores a backup under the database's name. Writers must have been
// stopped. The old database is kept under another name. from must name the database
// of the backup if that is another one.
func (b *Backups) Restore(ctx context.Context, id, from string, r progress.Reporter) (*backup.Restored, error) {
	args := []string{"restore", "--yes", "--no-safety-backup", id}
	if from != "" {
		args = append(args, "--from="+from)
	}
	restored := &backup.Restored{ID: id}
	err := progress.Run(r, "Restore backup "+id, func(step progress.Step) error {
		// The role that makes backups may only read.
		last, err := b.run(ctx, task{
			name: "restore", args: args,
			change: b.asOwner, replaces: true,
		}, step)
		// What was interrupted too late is done.
		var done bool
		if restored.Kept, done = last["kept"].(string); err != nil && !done {
			return err
		}
		if rows, ok := last["rows"].(float64); ok {
			restored.Rows = int64(rows)
		}
		restored.Seconds, _ = last["seconds"].(float64)
		restored.SwapSeconds, _ = last["swapSeconds"].(float64)
		return nil
	})
	return restored, err
}

// Moment makes a backup of the database as it was at a moment, from its write-ahead
// log. The zero time means the last moment that can be restored. It returns the
// backup's ID.
func (b *Backups) Moment(ctx context.Context, at time.Time, r progress.Reporter) (id string, err error) {
	what, when := moment(at)
	err = progress.Run(r, "Bring back "+what, func(step progress.Step) error {
		last, err := b.run(ctx, task{name: "moment", args: []string{"moment", "--at=" + when}, change: b.asOwner, replaces: true}, step)
		if err != nil {
			return err
		}
		var ok bool
		if id, ok = last["backup"].(string); !ok {
			return errors.New("the job ended without naming the backup it made")
		}
		return nil
	})
	return id, err
}

// A Volume is one that a server of PostgreSQL will start on; see package release.
type Volume struct {
	Claim      string
	Path, Data string
	Version    int
	Security   *corev1.PodSecurityContext
}

// fillTime bounds the filling of a volume, which may be of terabytes.
const fillTime = 3 * 24 * time.Hour

// Fill fills the volume of a new server with what the database's server was at a moment,
// from a base and its write-ahead log. The zero time means the last moment that can be
// restored.
func (b *Backups) Fill(ctx context.Context, at time.Time, v Volume, r progress.Reporter) (*wal.Filled, error) {
	what, when := moment(at)
	filled := &wal.Filled{}
	err := progress.Run(r, "Bring back the server as of "+what, func(step progress.Step) error {
		last, err := b.run(ctx, task{
			name: "fill", args: []string{"fill", "--at=" + when, "--data=" + v.Data, "--version=" + strconv.Itoa(v.Version)},
			change: b.asOwner, replaces: true, shape: v.fill,
		}, step)
		if err != nil {
			return outdated(err, b.environment)
		}
		said, err := json.Marshal(last)
		if err == nil {
			err = json.Unmarshal(said, filled)
		}
		if err == nil && filled.Base == "" {
			err = errors.New("the job ended without saying what it filled the volume with")
		}
		return err
	})
	for _, warning := range filled.Warnings {
		r.Note(warning)
	}
	return filled, err
}

// fill gives a Job the volume, whose files are to be those of the server's user.
func (v Volume) fill(job *batch.Job) {
	const name = "filled"
	long := int64(fillTime.Seconds())
	job.Spec.ActiveDeadlineSeconds = &long
	pod := &job.Spec.Template.Spec
	pod.SecurityContext = v.Security
	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: v.Claim},
	}})
	container := &pod.Containers[0]
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: v.Path})
}

// outdated adds what to do if a Job's program is older than what it was asked for.
func outdated(err error, environment string) error {
	if !strings.Contains(err.Error(), "unknown ") {
		return err
	}
	return fault.WithHint(fmt.Errorf("the backups of %s are made by an older program than this berth's: %w", environment, err),
		"a deploy updates it: berth deploy %s --anyway", environment)
}

// moment is how a moment is told to people and to the job.
func moment(at time.Time) (what, when string) {
	if at.IsZero() {
		return "the latest moment", "latest"
	}
	return at.Local().Format("2006-01-02 15:04:05 MST"), at.UTC().Format(time.RFC3339Nano)
}

// A Move brings what the database holds to another server.
type Move struct {
	Title string
	// Host is the other server's, and Image the job's, with the programs of both.
	Host, Image string
}

// Move copies the database to another server by a backup that is restored there and
// compared.
func (b *Backups) Move(ctx context.Context, m Move, r progress.Reporter) (*backup.Moved, error) {
	moved := &backup.Moved{}
	err := progress.Run(r, m.Title, func(step progress.Step) error {
		last, err := b.run(ctx, task{
			name: "move", args: []string{"move", "--to=" + m.Host}, replaces: true,
			change: func(container *corev1.Container) {
				b.asOwner(container)
				container.Image = m.Image
			},
		}, step)
		if err != nil {
			return err
		}
		said, err := json.Marshal(last)
		if err == nil {
			err = json.Unmarshal(said, moved)
		}
		if err == nil && moved.ID == "" {
			err = errors.New("the job ended without saying what it moved")
		}
		return err
	})
	return moved, err
}

// task is one run of the backup program.
type task struct {
	name string // of the Job, after the release's
	args []string
	// change changes the container from what the schedule runs; nil does not.
	change func(*corev1.Container)
	// shape changes the Job besides; nil does not.
	shape func(*batch.Job)
	// replaces ends one of the same name that still runs: who may run it
	// holds the environment's lock, so its berth is gone.
	replaces bool
}

// run runs a task in a Job made of the CronJob's template. It returns the
// fields of the last line that was logged. An interrupted run ends the Job.
func (b *Backups) run(ctx context.Context, t task, step progress.Step) (last map[string]any, err error) {
	step.Detail("starting the job")
	schedule, err := b.schedule(ctx)
	if err != nil {
		return nil, err
	}
	job := b.job(schedule, t)
	// Helm knows nothing of it; the CronJob takes it along when it goes.
	job.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(schedule, batch.SchemeGroupVersion.WithKind("CronJob"))}
	if before, err := b.client.BatchV1().Jobs(b.environment).Get(ctx, job.Name, metav1.GetOptions{}); err == nil && !t.replaces && !ended(before) {
		return nil, fault.WithHint(fmt.Errorf("job %s is running already", job.Name), "wait for its end: kubectl --kubeconfig %s -n %s logs -f job/%s",
			b.cluster.Kubeconfig, b.environment, job.Name)
	}
	if err := b.removeJob(ctx, job.Name); err != nil {
		return nil, err
	}
	return b.do(ctx, job, step)
}

// schedule is the CronJob that makes the backups.
func (b *Backups) schedule(ctx context.Context) (*batch.CronJob, error) {
	schedule, err := b.client.BatchV1().CronJobs(b.environment).Get(ctx, b.name(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fault.WithHint(fmt.Errorf("the backups of %s are not scheduled on this cluster", b.environment), "berth deploy %s", b.environment)
	}
	if err != nil {
		return nil, fmt.Errorf("read the schedule: %w", err)
	}
	return schedule, nil
}

// job is what a task runs in.
func (b *Backups) job(schedule *batch.CronJob, t task) *batch.Job {
	template := schedule.Spec.JobTemplate.DeepCopy()
	job := &batch.Job{
		ObjectMeta: metav1.ObjectMeta{Name: b.name() + "-" + t.name, Namespace: b.environment, Labels: template.Labels},
		Spec:       template.Spec,
	}
	none := int32(0)
	job.Spec.BackoffLimit = &none // the one who waits hears of the first failure
	container := &job.Spec.Template.Spec.Containers[0]
	container.Args = t.args
	if t.change != nil {
		t.change(container)
	}
	if t.shape != nil {
		t.shape(job)
	}
	return job
}

// do makes a Job and returns the fields of the last line that it logged, which an
// interrupted one may have as well.
func (b *Backups) do(ctx context.Context, job *batch.Job, step progress.Step) (last map[string]any, err error) {
	// Also if it is the making that is interrupted: the server may have heard of it.
	defer func() {
		if ctx.Err() != nil {
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			last, err = b.end(ending, job.Name, context.Cause(ctx))
		}
	}()
	if _, err := b.client.BatchV1().Jobs(b.environment).Create(ctx, job, metav1.CreateOptions{}); err != nil {
		return nil, fmt.Errorf("make Job %s: %w", job.Name, err)
	}
	pod, err := b.awaitPod(ctx, job.Name)
	if err != nil {
		return nil, err
	}
	said, err := b.follow(ctx, pod, step)
	if err != nil {
		return nil, err
	}
	if err := b.awaitJob(ctx, job.Name); err != nil {
		return nil, said.explain(err)
	}
	return said.last, nil
}

// end removes a Job that was interrupted, and returns what its program said last. It may
// have done its work before it heard that it is to end; if not, it says how it left things.
func (b *Backups) end(ctx context.Context, job string, why error) (last map[string]any, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	heard := make(chan *speech, 1)
	go func() { heard <- b.lastWords(ctx, job) }()
	err = b.removeJob(ctx, job)
	// The log ends with the pod. Of a node that is lost it never does.
	defer time.AfterFunc(lastWordsTime, cancel).Stop()
	said := <-heard
	if words := said.explain(nil); words != nil {
		why = words
	}
	return said.last, errors.Join(why, err)
}

// lastWordsTime is how long a log may take to end after its pod is gone.
const lastWordsTime = 5 * time.Second

// lastWords reads what a Job's program says until it ends. A program that has not been
// started yet may still be.
func (b *Backups) lastWords(ctx context.Context, job string) *speech {
	said := &speech{}
	// What cannot be read is not said.
	_ = poll.Until(ctx, jobPause/5, func(ctx context.Context) (bool, error) {
		pods, err := b.client.CoreV1().Pods(b.environment).List(ctx, metav1.ListOptions{LabelSelector: batch.JobNameLabel + "=" + job})
		if err != nil || len(pods.Items) == 0 {
			return true, err
		}
		stream, err := b.client.CoreV1().Pods(b.environment).GetLogs(pods.Items[0].Name, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
		if err != nil {
			return false, nil // the container has no log yet
		}
		defer stream.Close()
		return true, said.read(stream, func(string) {})
	})
	return said
}

// asOwner lets a container of the job in as the database's owner, who makes the roles
// of the backups.
func (b *Backups) asOwner(container *corev1.Container) {
	for i := range container.Env {
		switch env := &container.Env[i]; env.Name {
		case "PGUSER":
			env.Value = "app"
		case "PGPASSWORD":
			env.ValueFrom.SecretKeyRef.Name = b.databaseSecret()
		}
	}
	// A server that has come in place of one that was lost does not know them yet.
	container.Env = append(container.Env, corev1.EnvVar{Name: "BACKUP_ROLE_PASSWORD", ValueFrom: &corev1.EnvVarSource{
		SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: b.secret("database")}, Key: "password"},
	}})
}

// removeJob removes a Job of an earlier run and waits until its pod has ended.
func (b *Backups) removeJob(ctx context.Context, name string) error {
	jobs := b.client.BatchV1().Jobs(b.environment)
	whole := metav1.DeletePropagationForeground
	err := poll.Until(ctx, jobPause, func(ctx context.Context) (bool, error) {
		err := jobs.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &whole})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
	if err != nil {
		return fmt.Errorf("remove Job %s: %w", name, err)
	}
	return nil
}

// awaitPod waits until the Job's container has started, and returns its pod.
func (b *Backups) awaitPod(ctx context.Context, job string) (name string, err error) {
	why := "no pod was made for it"
	ctx, cancel := context.WithTimeoutCause(ctx, jobStart, errNotStarted)
	defer cancel()
	err = poll.Until(ctx, jobPause, func(ctx context.Context) (bool, error) {
		pods, err := b.client.CoreV1().Pods(b.environment).List(ctx, metav1.ListOptions{LabelSelector: batch.JobNameLabel + "=" + job})
		if err != nil {
			return false, fmt.Errorf("look for the job's pod: %w", err)
		}
		for _, pod := range pods.Items {
			for _, status := range pod.Status.ContainerStatuses {
				if status.State.Running != nil || status.State.Terminated != nil {
					name = pod.Name
					return true, nil
				}
				if waiting := status.State.Waiting; waiting != nil {
					why = waiting.Reason + " " + waiting.Message
				}
			}
			for _, condition := range pod.Status.Conditions {
				if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
					why = condition.Message
				}
			}
		}
		return false, nil
	})
	if errors.Is(err, errNotStarted) {
		return "", fmt.Errorf("the job %s did not start within %s: %s", job, jobStart, strings.TrimSpace(why))
	}
	return name, err
}

var errNotStarted = errors.New("the job did not start")

// follow shows what the job says while it runs.
func (b *Backups) follow(ctx context.Context, pod string, step progress.Step) (*speech, error) {
	stream, err := b.client.CoreV1().Pods(b.environment).GetLogs(pod, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the log of pod %s: %w", pod, err)
	}
	defer stream.Close()
	said := &speech{}
	return said, said.read(stream, step.Detail)
}

// speech is what the backup program said: lines of JSON while it worked, at the
// end its result, or an error and a hint in plain words.
type speech struct {
	last  map[string]any
	plain []string
}

func (s *speech) read(from io.Reader, detail func(string)) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var fields map[string]any
		if json.Unmarshal(lines.Bytes(), &fields) != nil {
			s.plain = append(s.plain, lines.Text())
			continue
		}
		if message, ok := fields["msg"].(string); ok {
			s.last = fields
			detail(message)
		}
	}
	return lines.Err()
}

// explain says why the program failed in its own words.
func (s *speech) explain(err error) error {
	for i, line := range s.plain {
		if why, ok := strings.CutPrefix(line, "backup: "); ok {
			hint := strings.TrimSpace(strings.Join(s.plain[i+1:], " "))
			if hint == "" {
				return errors.New(why)
			}
			return fault.WithHint(errors.New(why), "%s", hint)
		}
	}
	return err
}

// awaitJob waits for the Job's end and says whether it was a good one.
func (b *Backups) awaitJob(ctx context.Context, name string) error {
	return poll.Until(ctx, jobPause, func(ctx context.Context) (bool, error) {
		job, err := b.client.BatchV1().Jobs(b.environment).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, fmt.Errorf("look at Job %s: %w", name, err)
		}
		return ended(job), failure(job)
	})
}

func ended(job *batch.Job) bool {
	return job.Status.CompletionTime != nil || failure(job) != nil
}

// failure returns why a Job failed, if it did.
func failure(job *batch.Job) error {
	for _, condition := range job.Status.Conditions {
		if condition.Type == batch.JobFailed && condition.Status == corev1.ConditionTrue {
			return fmt.Errorf("the job failed: %s: %s", condition.Reason, condition.Message)
		}
	}
	return nil
}
