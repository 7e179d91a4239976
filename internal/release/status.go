package release

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"

	"berth/internal/config"
	"berth/internal/kube"
	"berth/internal/rollout"
)

// Status is how an environment is doing.
type Status struct {
	Environment string          `json:"environment"`
	Hosts       []string        `json:"hosts"`
	Database    config.Database `json:"database"`
	// Deployed is false when nothing is; the rest is empty then.
	Deployed bool `json:"deployed"`
	// Serving says that all pods that should be there are, with one revision.
	Serving bool `json:"serving"`
	// Revision is the one that serves, or the newest when none does.
	Revision Revision `json:"revision"`
	// Ready of Wanted pods of the application answer.
	Ready  int `json:"ready"`
	Wanted int `json:"wanted"`
	// Pods of the application and of its database.
	Pods []Pod `json:"pods"`
	// CronJobs of the application.
	CronJobs []CronJob `json:"cronJobs,omitempty"`
	// Busy says who holds the environment's lock; empty when nobody does.
	Busy string `json:"busy,omitempty"`
	// Warnings tell what a person should look at.
	Warnings []string `json:"warnings"`
}

// CronJob is a process that runs on a schedule.
type CronJob struct {
	Name     string `json:"name"`
	Schedule string `json:"schedule"`
	TimeZone string `json:"timeZone"`
	// Running counts the runs that are under way.
	Running int `json:"running"`
	// Last is when it was last due, and Succeeded when a run last ended well;
	// nil for never.
	Last      *time.Time `json:"last,omitempty"`
	Succeeded *time.Time `json:"succeeded,omitempty"`
}

// Pod is one pod of a release.
type Pod struct {
	Name string `json:"name"`
	// Workload is the Deployment or StatefulSet that it belongs to.
	Workload string `json:"workload"`
	Node     string `json:"node,omitempty"`
	Image    string `json:"image"`
	// State is Running, or why it does not run.
	State    string    `json:"state"`
	Ready    bool      `json:"ready"`
	Restarts int       `json:"restarts"`
	Since    time.Time `json:"since"`
	// Current is false for a pod of an earlier revision.
	Current bool `json:"current"`
	// Usage is what it uses; nil where nothing has measured it.
	Usage *kube.Usage `json:"usage,omitempty"`
}

// Status looks at an environment. One where nothing is deployed is no error.
func (c *Client) Status(ctx context.Context, environment string) (Status, error) {
	e, err := c.environment(environment)
	if err != nil {
		return Status{}, err
	}
	status := Status{Environment: environment, Hosts: e.Hosts, Database: e.Database, Pods: []Pod{}, Warnings: []string{}}
	h, err := c.release(environment)
	if err != nil {
		return status, err
	}
	past, err := h.History()
	if err != nil {
		return status, err
	}
	if err := h.Own(past); err != nil {
		return status, err
	}
	if len(past) == 0 {
		return status, nil
	}
	present := len(past) - 1
	for i, r := range past {
		if revisionOf(r, nil).State == StateDeployed {
			present = i
		}
	}
	status.Deployed = true
	status.Revision = revisions(past)[present]
	ws, err := rollout.Workloads(past[present].Manifest)
	if err != nil {
		return status, err
	}
	s, err := rollout.Take(ctx, kube.API{Interface: c.kube}, environment)
	if err != nil {
		return status, fmt.Errorf("look at %s: %w", environment, err)
	}
	status.describe(s, ws)
	if err := c.addCronJobs(ctx, environment, &status); err != nil {
		return status, err
	}
	if last := past[len(past)-1]; last.Version != status.Revision.Number {
		status.Warnings = append(status.Warnings, fmt.Sprintf("revision %d: %s", last.Version, last.Info.Description))
	}
	if status.Busy, err = c.lock(environment).Holder(ctx); err != nil {
		return status, err
	}
	for _, look := range []func() (string, error){
		func() (string, error) { return c.autoscalerWarning(ctx, environment) },
		func() (string, error) { return c.certificateWarning(ctx, environment, e) },
	} {
		warning, err := look()
		if err != nil {
			return status, err
		}
		if warning != "" {
			status.Warnings = append(status.Warnings, warning)
		}
	}
	return status, nil
}

// describe fills in what a snapshot shows of the release's workloads.
func (st *Status) describe(s *rollout.Snapshot, ws []rollout.Workload) {
	st.Serving = true
	for _, w := range ws {
		present, earlier := s.PodsOf(w)
		if text := s.Missing(w); text != "" {
			st.Serving = false
			st.Warnings = append(st.Warnings, text)
		}
		if d := s.Deployments[w.Name]; w.Kind == "Deployment" && d != nil {
			st.Wanted += rollout.Replicas(d.Spec.Replicas)
			for _, pod := range append(present, earlier...) {
				if rollout.Ready(pod) {
					st.Ready++
				}
			}
		}
		for _, pod := range present {
			st.Pods = append(st.Pods, podOf(pod, w, true))
			for _, reason := range rollout.PodReasons(pod) {
				st.Warnings = append(st.Warnings, reason.String())
			}
		}
		for _, pod := range earlier {
			st.Pods = append(st.Pods, podOf(pod, w, false))
		}
	}
	slices.SortFunc(st.Pods, func(a, b Pod) int { return strings.Compare(a.Name, b.Name) })
}

// addCronJobs fills in the application's cron jobs, with a warning for each
// whose last run failed.
func (c *Client) addCronJobs(ctx context.Context, environment string, status *Status) error {
	list, err := c.cronJobs(ctx, environment)
	if err != nil {
		return err
	}
	for _, found := range list {
		job := CronJob{Name: found.Name, Schedule: found.Spec.Schedule, Running: len(found.Status.Active)}
		if found.Spec.TimeZone != nil {
			job.TimeZone = *found.Spec.TimeZone
		}
		if last := found.Status.LastScheduleTime; last != nil {
			job.Last = &last.Time
		}
		if well := found.Status.LastSuccessfulTime; well != nil {
			job.Succeeded = &well.Time
		}
		status.CronJobs = append(status.CronJobs, job)
		if job.Last != nil && job.Running == 0 && (job.Succeeded == nil || job.Succeeded.Before(*job.Last)) {
			status.Warnings = append(status.Warnings, fmt.Sprintf("%s: its last run failed, that of %s", job.Name, job.Last.UTC().Format(time.RFC3339)))
		}
	}
	return nil
}

func podOf(pod *core.Pod, w rollout.Workload, current bool) Pod {
	p := Pod{
		Name: pod.Name, Workload: w.Name, Node: pod.Spec.NodeName, State: string(pod.Status.Phase),
		Ready: rollout.Ready(pod), Since: pod.CreationTimestamp.Time, Current: current,
	}
	if len(pod.Spec.Containers) > 0 {
		p.Image = pod.Spec.Containers[0].Image
	}
	if pod.Status.Reason != "" {
		p.State = pod.Status.Reason
	}
	for _, status := range rollout.Statuses(pod) {
		p.Restarts += int(status.RestartCount)
		if waiting := status.State.Waiting; waiting != nil && waiting.Reason != "" && !status.Ready {
			p.State = waiting.Reason
		}
	}
	return p
}

// certificateWarning tells of a certificate that ends soon.
func (c *Client) certificateWarning(ctx context.Context, environment string, e config.Environment) (string, error) {
	if c.cluster.Authority == nil || len(e.Hosts) == 0 {
		return "", nil
	}
	secret, err := kube.OwnSecret(ctx, c.kube, environment, c.config.Name+"-tls")
	if err != nil || secret == nil {
		return "", err
	}
	why, err := staleCertificate(secret.Data[core.TLSCertKey], e.Hosts, c.cluster.Authority.File(), time.Now())
	if err != nil || why == "" {
		return "", err
	}
	return "the certificate needs renewal, which the next deploy does: " + why, nil
}
