package preview

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/kube/own"
	"berth/internal/platform"
	"berth/internal/poll"
	"berth/internal/progress"
)

const (
	// ofLabel is on the namespace of a preview, with the application that it is of, and
	// commitLabel with what is deployed there.
	ofLabel     = "berth/preview-of"
	commitLabel = "berth/commit"
	// A branch's name may have characters that a label cannot have.
	branchAnnotation = "berth/branch"
	hostAnnotation   = "berth/host"
	dataAnnotation   = "berth/data"
	maskAnnotation   = "berth/mask"
	holderAnnotation = "berth/holder"

	// manager of what is made here is another one than of the deploy, which leaves alone
	// what this one has written.
	manager = "berth-preview"
	// going bounds the wait for what is removed.
	going = 2 * time.Minute
	// beginning is how long a preview may be there before its deploy has begun.
	beginning = 15 * time.Second
	// expiry is what the objects are called that remove a preview.
	expiry = "expiry"
)

// namespace finds the namespace of a branch's preview, or makes it. One without data is
// what an interrupted call has left, and is made again.
func (c *Client) namespace(ctx context.Context, w Wanted, r progress.Reporter) (*Preview, error) {
	wanted := c.Of(w.Branch)
	found, err := c.kube.CoreV1().Namespaces().Get(ctx, wanted.Environment, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return c.makeNamespace(ctx, w, wanted)
	case err != nil:
		return nil, fmt.Errorf("look for namespace %s: %w", wanted.Environment, err)
	case !own.Owned(found) || found.Labels[ofLabel] != c.config.Name || found.Annotations[branchAnnotation] != w.Branch:
		return nil, fmt.Errorf("there is a namespace %s, and it is not the preview of %s", found.Name, w.Branch)
	}
	p := read(found)
	if p.Data != "" && !p.Going {
		if p.mask != c.mask() {
			r.Note(fmt.Sprintf("the data of this preview was masked when it was made, by another previews.mask: to mask it again, berth preview remove %s first", w.Branch))
		}
		return &p, c.renew(ctx, w, &p)
	}
	if !p.Going {
		if err := poll.Sleep(ctx, beginning-c.now().Sub(p.Made)); err != nil {
			return nil, err
		}
		if err := c.free(ctx, &p); err != nil {
			return nil, err
		}
	}
	if err := c.Remove(ctx, &p, r); err != nil {
		return nil, err
	}
	return c.makeNamespace(ctx, w, wanted)
}

func (c *Client) makeNamespace(ctx context.Context, w Wanted, p Preview) (*Preview, error) {
	n := &core.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:   p.Environment,
		Labels: map[string]string{own.ManagedBy: own.Manager, ofLabel: c.config.Name},
		Annotations: map[string]string{
			branchAnnotation: w.Branch, hostAnnotation: p.Host, holderAnnotation: kube.Operator(), own.ExpiresAnnotation: c.expires(),
		},
	}}
	if w.Commit != "" {
		n.Labels[commitLabel] = w.Commit
	}
	made, err := c.kube.CoreV1().Namespaces().Create(ctx, n, metav1.CreateOptions{FieldManager: manager})
	if apierrors.IsAlreadyExists(err) {
		return nil, fault.WithHint(fmt.Errorf("another command is making the preview of %s", w.Branch), "berth preview list")
	}
	if err != nil {
		return nil, fmt.Errorf("make namespace %s: %w", n.Name, err)
	}
	p = read(made)
	if err := c.Admit(ctx, w.Branch); err != nil {
		return nil, errors.Join(err, c.remove(ctx, &p, progress.Discard))
	}
	return &p, nil
}

func (c *Client) expires() string {
	return c.now().Add(time.Duration(c.config.Previews.Expire)).UTC().Format(time.RFC3339)
}

// renew begins the time of a preview again, which gets another commit.
func (c *Client) renew(ctx context.Context, w Wanted, p *Preview) error {
	return c.annotate(ctx, p, map[string]any{
		"labels":      map[string]any{commitLabel: orNull(w.Commit)},
		"annotations": map[string]any{holderAnnotation: kube.Operator(), own.ExpiresAnnotation: c.expires()},
	})
}

// noteData notes that the database is complete.
func (c *Client) noteData(ctx context.Context, p *Preview, data string) error {
	return c.annotate(ctx, p, map[string]any{"annotations": map[string]any{dataAnnotation: data, maskAnnotation: c.mask()}})
}

// mask is a digest of what berth.yaml says of masks, of which data is told apart that was
// masked otherwise.
func (c *Client) mask() string {
	all := sha256.New()
	for _, column := range slices.Sorted(maps.Keys(c.config.Previews.Mask)) {
		fmt.Fprintf(all, "%q %q\n", column, c.config.Previews.Mask[column])
	}
	return hex.EncodeToString(all.Sum(nil)[:8])
}

func (c *Client) annotate(ctx context.Context, p *Preview, metadata map[string]any) error {
	// Not of another namespace of this name, which has been made since.
	metadata["uid"] = p.uid
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return err
	}
	written, err := c.kube.CoreV1().Namespaces().Patch(ctx, p.Environment, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager})
	if err != nil {
		return fmt.Errorf("write namespace %s: %w", p.Environment, err)
	}
	*p = read(written)
	return nil
}

// orNull takes a label away where there is nothing to say.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// applyObjects makes what a preview's namespace has besides the application: what bounds
// it, and what removes it when its time is over.
func (c *Client) applyObjects(ctx context.Context, w Wanted, p *Preview) error {
	n := p.Environment
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: n, Labels: map[string]string{own.ManagedBy: own.Manager}}
	}
	o := metav1.CreateOptions{FieldManager: manager}
	pull, err := kube.PullSecret(ctx, c.kube, kube.Secret{Namespace: n, Name: expiry + "-pull"}, func() ([]byte, error) {
		if c.cluster.PullLogins == nil {
			return nil, nil
		}
		return c.cluster.PullLogins(ctx, w.Expirer)
	})
	if err != nil {
		return err
	}
	for _, make := range []func() error{
		func() error {
			_, err := c.kube.CoreV1().ResourceQuotas(n).Create(ctx, &core.ResourceQuota{ObjectMeta: meta("preview"), Spec: core.ResourceQuotaSpec{Hard: quota}}, o)
			return err
		},
		func() error {
			_, err := c.kube.CoreV1().LimitRanges(n).Create(ctx, &core.LimitRange{ObjectMeta: meta("preview"), Spec: core.LimitRangeSpec{
				Limits: []core.LimitRangeItem{{Type: core.LimitTypeContainer, DefaultRequest: usual}},
			}}, o)
			return err
		},
		func() error {
			_, err := c.kube.CoreV1().ServiceAccounts(n).Create(ctx, &core.ServiceAccount{ObjectMeta: meta(expiry), AutomountServiceAccountToken: new(false)}, o)
			return err
		},
		func() error {
			// A namespace is in itself as far as roles are concerned, so that the right to
			// remove it goes with it.
			_, err := c.kube.RbacV1().Roles(n).Create(ctx, &rbac.Role{ObjectMeta: meta(expiry), Rules: []rbac.PolicyRule{
				{APIGroups: []string{""}, Resources: []string{"namespaces"}, ResourceNames: []string{n}, Verbs: []string{"get", "delete"}},
			}}, o)
			return err
		},
		func() error {
			_, err := c.kube.RbacV1().RoleBindings(n).Create(ctx, &rbac.RoleBinding{ObjectMeta: meta(expiry),
				RoleRef:  rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: expiry},
				Subjects: []rbac.Subject{{Kind: rbac.ServiceAccountKind, Name: expiry, Namespace: n}},
			}, o)
			return err
		},
		func() error {
			job := &batch.CronJob{ObjectMeta: meta(expiry), Spec: expiryJob(n, w.Expirer, pull, p.Expires)}
			_, err := c.kube.BatchV1().CronJobs(n).Create(ctx, job, o)
			if !apierrors.IsAlreadyExists(err) {
				return err
			}
			found, err := c.kube.BatchV1().CronJobs(n).Get(ctx, job.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			found.Spec = job.Spec
			_, err = c.kube.BatchV1().CronJobs(n).Update(ctx, found, metav1.UpdateOptions{FieldManager: manager})
			return err
		},
	} {
		if err := make(); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("prepare namespace %s: %w", n, err)
		}
	}
	return nil
}

// quota is what a preview may take of the cluster: much more than one needs, and not all
// of it. usual is what a container asks for that says nothing.
var (
	quota = core.ResourceList{
		core.ResourcePods: resource.MustParse("40"), core.ResourceRequestsCPU: resource.MustParse("4"), core.ResourceRequestsMemory: resource.MustParse("8Gi"),
		core.ResourcePersistentVolumeClaims: resource.MustParse("20"),
		core.ResourceServicesLoadBalancers:  resource.MustParse("0"), core.ResourceServicesNodePorts: resource.MustParse("0"),
	}
	usual = core.ResourceList{core.ResourceCPU: resource.MustParse("10m"), core.ResourceMemory: resource.MustParse("32Mi")}
)

// expiryJob is due in the minute in which a preview's time is over. Where the cluster is
// down then, it is made up for; where it fails, it is tried again for as long as it takes.
func expiryJob(namespace, image, pull string, expires time.Time) batch.CronJobSpec {
	due := expires.UTC().Add(time.Minute - time.Nanosecond).Truncate(time.Minute)
	pod := core.PodSpec{
		ServiceAccountName: expiry, AutomountServiceAccountToken: new(true), EnableServiceLinks: new(false),
		RestartPolicy: core.RestartPolicyOnFailure,
		SecurityContext: &core.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), RunAsGroup: new(int64(65532)),
			SeccompProfile: &core.SeccompProfile{Type: core.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []core.Container{{
			Name: expiry, Image: image, Args: []string{"expire", "-namespace=" + namespace},
			Resources: core.ResourceRequirements{
				Requests: core.ResourceList{core.ResourceCPU: resource.MustParse("10m"), core.ResourceMemory: resource.MustParse("32Mi")},
				Limits:   core.ResourceList{core.ResourceMemory: resource.MustParse("64Mi")},
			},
			SecurityContext: &core.SecurityContext{
				AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true), Capabilities: &core.Capabilities{Drop: []core.Capability{"ALL"}},
			},
		}},
	}
	if pull != "" {
		pod.ImagePullSecrets = []core.LocalObjectReference{{Name: pull}}
	}
	labels := map[string]string{own.ManagedBy: own.Manager, "app.kubernetes.io/name": expiry}
	return batch.CronJobSpec{
		Schedule: fmt.Sprintf("%d %d %d %d *", due.Minute(), due.Hour(), due.Day(), due.Month()), TimeZone: new("Etc/UTC"),
		ConcurrencyPolicy: batch.ForbidConcurrent,
		JobTemplate: batch.JobTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: batch.JobSpec{
			BackoffLimit: new(int32(10000)),
			Template:     core.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod},
		}},
	}
}

// allowRestore lets the Job that restores reach the database and the bucket, and nothing
// else.
func (c *Client) allowRestore(ctx context.Context, namespace string, database *platform.DatabaseCopy) error {
	bucket, err := database.BucketPort(ctx)
	if err != nil {
		return err
	}
	tcp, udp := core.ProtocolTCP, core.ProtocolUDP
	at := func(port int, protocol *core.Protocol) networking.NetworkPolicyPort {
		return networking.NetworkPolicyPort{Port: new(intstr.FromInt(port)), Protocol: protocol}
	}
	policy := &networking.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "restore", Namespace: namespace, Labels: map[string]string{own.ManagedBy: own.Manager}},
		Spec: networking.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{platform.CopyLabel: platform.CopyRestores}},
			PolicyTypes: []networking.PolicyType{networking.PolicyTypeIngress, networking.PolicyTypeEgress},
			Egress: []networking.NetworkPolicyEgressRule{
				{To: []networking.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}},
				{Ports: []networking.NetworkPolicyPort{at(53, &udp), at(53, &tcp), at(bucket, &tcp)}},
			},
		},
	}
	if _, err := c.kube.NetworkingV1().NetworkPolicies(namespace).Create(ctx, policy, metav1.CreateOptions{FieldManager: manager}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make NetworkPolicy %s/%s: %w", namespace, policy.Name, err)
	}
	return nil
}
