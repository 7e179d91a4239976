package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	utilexec "k8s.io/client-go/util/exec"

	"berth/internal/fault"
	"berth/internal/progress"
)

// shop is a client of the environment staging of the application shop.
func shop(objects ...runtime.Object) *Client {
	return &Client{kube: fake.NewClientset(objects...), app: "shop", environment: "staging", who: "mira@laptop"}
}

func podLabels(component string) map[string]string {
	return map[string]string{nameLabel: "shop", instanceLabel: "shop", componentLabel: component}
}

// deployment is one of the application's own, as the chart makes them.
func deployment(name, component string) *apps.Deployment {
	user, yes := int64(65532), true
	return &apps.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "staging", UID: "u-1", Labels: podLabels(component)},
		Spec: apps.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: podLabels(component)},
			Template: core.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: podLabels(component)},
				Spec: core.PodSpec{
					SecurityContext:           &core.PodSecurityContext{RunAsUser: &user, RunAsNonRoot: &yes},
					TopologySpreadConstraints: []core.TopologySpreadConstraint{{MaxSkew: 1}},
					Affinity: &core.Affinity{PodAffinity: &core.PodAffinity{
						RequiredDuringSchedulingIgnoredDuringExecution: []core.PodAffinityTerm{{TopologyKey: "kubernetes.io/hostname"}},
					}},
					Volumes: []core.Volume{{Name: "data", VolumeSource: core.VolumeSource{
						PersistentVolumeClaim: &core.PersistentVolumeClaimVolumeSource{ClaimName: "shop-data"},
					}}},
					Containers: []core.Container{{
						Name: "web", Image: "shop:1", Args: []string{"serve"},
						Env:            []core.EnvVar{{Name: "LOG_LEVEL", Value: "info"}},
						EnvFrom:        []core.EnvFromSource{{SecretRef: &core.SecretEnvSource{LocalObjectReference: core.LocalObjectReference{Name: "shop-env"}}}},
						Ports:          []core.ContainerPort{{Name: "http", ContainerPort: 8000}},
						ReadinessProbe: &core.Probe{}, StartupProbe: &core.Probe{}, LivenessProbe: &core.Probe{},
						Lifecycle:    &core.Lifecycle{PreStop: &core.LifecycleHandler{Sleep: &core.SleepAction{Seconds: 5}}},
						Resources:    core.ResourceRequirements{Limits: core.ResourceList{core.ResourceMemory: resource.MustParse("256Mi")}},
						VolumeMounts: []core.VolumeMount{{Name: "data", MountPath: "/data"}},
					}},
				},
			},
		},
	}
}

func claim(mode core.PersistentVolumeAccessMode) *core.PersistentVolumeClaim {
	return &core.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "shop-data", Namespace: "staging"},
		Spec:       core.PersistentVolumeClaimSpec{AccessModes: []core.PersistentVolumeAccessMode{mode}},
	}
}

// pod is one that runs; its age is in minutes.
func pod(name, component string, age int, isReady bool) *core.Pod {
	status := core.ConditionFalse
	if isReady {
		status = core.ConditionTrue
	}
	return &core.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "staging", Labels: podLabels(component),
			CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 2, 3, 59-age, 0, 0, time.UTC)),
		},
		Spec: core.PodSpec{NodeName: "node-2", Containers: []core.Container{{Name: "web"}}, Volumes: []core.Volume{{
			Name: "data", VolumeSource: core.VolumeSource{PersistentVolumeClaim: &core.PersistentVolumeClaimVolumeSource{ClaimName: "shop-data"}},
		}}},
		Status: core.PodStatus{Phase: core.PodRunning, Conditions: []core.PodCondition{{Type: core.PodReady, Status: status}}},
	}
}

func nodes() []runtime.Object {
	var all []runtime.Object
	for name, machine := range map[string]string{"node-1": "amd64", "node-2": "arm64"} {
		all = append(all, &core.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: core.NodeStatus{NodeInfo: core.NodeSystemInfo{Architecture: machine}}})
	}
	return all
}

// A pod of its own is the application's in all that a program sees, and in
// nothing that a Service, a budget or a policy of those that serve sees.
func TestAPodOfItsOwn(t *testing.T) {
	c := shop(append(nodes(), deployment("shop", "web"), claim(core.ReadWriteOnce), pod("shop-1", "web", 1, true))...)
	ctx := t.Context()
	p, err := c.process(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := c.ownSpec(ctx, p.template.Spec)
	if err != nil {
		t.Fatal(err)
	}
	machine, err := c.machine(ctx, spec.Affinity)
	if err != nil || machine != "arm64" {
		t.Fatalf("machine %q, %v; the volume is on node-2, which is arm64", machine, err)
	}
	job := c.job(plan{name: "shop-run", owner: p.owner, spec: *spec, limit: time.Hour}, machine)
	made := job.Spec.Template
	if !strings.HasPrefix(job.Name, "shop-run-") || job.OwnerReferences[0].Kind != "Deployment" || job.OwnerReferences[0].Controller != nil {
		t.Errorf("the job is %+v", job.ObjectMeta)
	}
	if *job.Spec.TTLSecondsAfterFinished != 0 || *job.Spec.BackoffLimit != 0 || *job.Spec.ActiveDeadlineSeconds != 300 {
		t.Errorf("nothing ends the job: %+v", job.Spec)
	}
	selector, _ := metav1.LabelSelectorAsSelector(p.selector)
	if selector.Matches(labels.Set(made.Labels)) || made.Labels[instanceLabel] != "shop" {
		t.Errorf("its labels are %v", made.Labels)
	}
	container := made.Spec.Containers[0]
	if container.Image != "shop:1" || container.Env[0].Value != "info" || container.EnvFrom[0].SecretRef.Name != "shop-env" ||
		container.Resources.Limits.Memory().String() != "256Mi" || container.VolumeMounts[0].MountPath != "/data" || *made.Spec.SecurityContext.RunAsUser != 65532 {
		t.Errorf("it is not as the application's are: %+v", container)
	}
	if container.Ports != nil || container.ReadinessProbe != nil || container.StartupProbe != nil || container.LivenessProbe != nil || container.Lifecycle != nil ||
		made.Spec.TopologySpreadConstraints != nil || made.Spec.Affinity.PodAffinity != nil {
		t.Errorf("it is as one that serves: %+v", made.Spec)
	}
	if got := container.Command; len(got) != 1 || !container.StdinOnce || container.Args != nil {
		t.Errorf("it begins with %v %v", got, container.Args)
	}
	if pinnedTo(made.Spec.Affinity) != "node-2" {
		t.Errorf("its volume is on node-2, and it may come to %+v", made.Spec.Affinity)
	}
	if volume := made.Spec.Volumes[1]; volume.ConfigMap.Items[0].Key != "arm64" || made.Spec.NodeSelector[core.LabelArchStable] != "arm64" {
		t.Errorf("it is given %+v", volume)
	}
	// What is deployed is left as it is.
	if len(p.template.Spec.Volumes) != 1 || p.template.Spec.Containers[0].Args == nil {
		t.Error("the process's own template was changed")
	}
}

func TestAVolumeForAllNodesPinsNothing(t *testing.T) {
	c := shop(claim(core.ReadWriteMany), pod("shop-1", "web", 1, true))
	spec, err := c.ownSpec(t.Context(), deployment("shop", "web").Spec.Template.Spec)
	if err != nil || pinnedTo(spec.Affinity) != "" {
		t.Errorf("%+v, %v", spec.Affinity, err)
	}
}

func TestWhichProcess(t *testing.T) {
	worker := deployment("shop-worker", "worker")
	cron := &batch.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "shop-nightly", Namespace: "staging", Labels: podLabels("nightly")}}
	cron.Spec.JobTemplate.Spec.Template.Labels = podLabels("nightly")
	service := deployment("shop-cache", "cache")
	service.Spec.Template.Labels[nameLabel] = "valkey"
	other := deployment("other", "web")
	other.Labels[instanceLabel] = "other"
	for _, test := range []struct {
		name    string
		objects []runtime.Object
		process string
		want    string
		fails   string
	}{
		{"web without a name", []runtime.Object{worker, deployment("shop", "web")}, "", "shop", ""},
		{"by name", []runtime.Object{worker, deployment("shop", "web")}, "worker", "shop-worker", ""},
		{"on a schedule", []runtime.Object{cron, deployment("shop", "web")}, "nightly", "shop-nightly", ""},
		{"the only one", []runtime.Object{worker, service}, "", "shop-worker", ""},
		{"no web", []runtime.Object{worker, cron}, "", "", "no web process"},
		{"unknown", []runtime.Object{worker, deployment("shop", "web")}, "cache", "", `no process "cache"`},
		{"nothing", []runtime.Object{other}, "", "", "nothing is deployed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := shop(test.objects...).process(t.Context(), test.process)
			switch {
			case test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails) || fault.Hint(err) == ""):
				t.Errorf("got %v (hint %q)", err, fault.Hint(err))
			case test.fails == "" && (err != nil || p.owner.Name != test.want):
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

func TestWhichPod(t *testing.T) {
	leaving := pod("leaving", "web", 0, true)
	now := metav1.Now()
	leaving.DeletionTimestamp, leaving.Finalizers = &now, []string{"keep"}
	own := pod("own", "web", 0, true)
	yes := true
	own.OwnerReferences = []metav1.OwnerReference{{Kind: "Job", Name: "j", Controller: &yes}}
	ended := pod("ended", "web", 0, false)
	ended.Status.Phase = core.PodFailed
	c := shop(deployment("shop", "web"), leaving, own, ended,
		pod("old", "web", 9, true), pod("new", "web", 3, true), pod("newest", "web", 1, false), pod("worker", "worker", 0, true))
	got, err := c.pod(t.Context(), "", "")
	if err != nil || got.Name != "new" {
		t.Errorf("got %v, %v; want the newest ready one", got, err)
	}
	if got, err = c.pod(t.Context(), "", "newest"); err != nil || got.Name != "newest" {
		t.Errorf("got %v, %v; want the one that is named", got, err)
	}
	if _, err = c.pod(t.Context(), "", "nobody"); !fault.IsUsage(err) {
		t.Errorf("got %v", err)
	}
	// Where none is ready, one that runs can still be looked into.
	c = shop(deployment("shop", "web"), pod("newest", "web", 1, false), pod("older", "web", 2, false))
	if got, err = c.pod(t.Context(), "", ""); err != nil || got.Name != "newest" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestStrays(t *testing.T) {
	c := shop()
	gone := func(int) bool { return false }
	here := func(int) bool { return true }
	job := func(holder string) *batch.Job {
		return &batch.Job{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{holderAnnotation: holder}}}
	}
	ended := job("ann@desk/7")
	ended.Status.Failed = 1
	for _, test := range []struct {
		name  string
		job   *batch.Job
		alive func(int) bool
		want  bool
	}{
		{"ended", ended, here, true},
		{"of a process that is gone", job("mira@laptop/7"), gone, true},
		{"of a process that lives", job("mira@laptop/7"), here, false},
		{"of another machine", job("ann@desk/7"), gone, false},
		{"of nobody known", job(""), gone, false},
	} {
		if got := c.stray(test.job, test.alive); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// A Job whose pod is refused, or does not come up, says so.
func TestAPodThatDoesNotStart(t *testing.T) {
	for _, test := range []struct {
		name  string
		state core.ContainerState
		want  string
	}{
		{"exec", core.ContainerState{Terminated: &core.ContainerStateTerminated{Reason: "StartError", Message: "exec format error"}}, "StartError: exec format error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := shop(append(nodes(), deployment("shop", "web"), claim(core.ReadWriteOnce))...)
			clientset := c.kube.(*fake.Clientset)
			clientset.PrependReactor("create", "jobs", func(action k8stesting.Action) (bool, runtime.Object, error) {
				job := action.(k8stesting.CreateAction).GetObject().(*batch.Job)
				broken := pod(job.Name+"-x", component, 0, false)
				broken.Labels[batch.JobNameLabel] = job.Name
				broken.Status.ContainerStatuses = []core.ContainerStatus{{Name: "web", State: test.state}}
				return false, nil, clientset.Tracker().Create(core.SchemeGroupVersion.WithResource("pods"), broken, "staging")
			})
			err := c.Run(t.Context(), Command{Args: []string{"true"}, Limit: time.Hour}, Streams{}, progress.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			left, err := c.kube.BatchV1().Jobs("staging").List(t.Context(), metav1.ListOptions{})
			if err != nil || len(left.Items) > 0 {
				t.Errorf("left: %v, %v", left.Items, err)
			}
		})
	}
}

func TestOutcome(t *testing.T) {
	broken := errors.New("websocket: close 1006 (abnormal closure)")
	for _, test := range []struct {
		name   string
		err    error
		status int
		said   string
	}{
		{"success", nil, 0, ""},
		{"status", utilexec.CodeExitError{Err: errors.New("command terminated with exit code 3"), Code: 3}, 3, ""},
		{"signal", utilexec.CodeExitError{Err: errors.New("…"), Code: 137}, 137, ""},
		{"no such program", errors.New(`OCI runtime exec failed: exec: "vim": executable file not found in $PATH: unknown`), 127, `no program "vim"`},
		{"no such path", errors.New(`exec failed: stat /bin/vim: no such file or directory: unknown`), 127, `no program "vim"`},
		{"no right", errors.New(`exec: "/etc/passwd": permission denied: unknown`), 126, "cannot be executed"},
		{"lost", broken, -1, "was lost"},
	} {
		err := outcome(test.err, "pod-1", "vim")
		exit := new(Exit)
		status := 0
		switch {
		case errors.As(err, &exit):
			status = exit.Status
		case err != nil:
			status = -1
		}
		if status != test.status || test.said != "" && !strings.Contains(err.Error(), test.said) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func database() *apps.StatefulSet {
	return &apps.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "shop-postgresql", Namespace: "staging"},
		Spec: apps.StatefulSetSpec{Template: core.PodTemplateSpec{Spec: core.PodSpec{
			Volumes:    []core.Volume{{Name: "password", VolumeSource: core.VolumeSource{Secret: &core.SecretVolumeSource{SecretName: "their-own"}}}},
			Containers: []core.Container{{Image: "postgres:17", Env: []core.EnvVar{{Name: "POSTGRES_USER", Value: "app"}, {Name: "POSTGRES_DB", Value: "shop"}}}},
		}}},
	}
}

// A reading session gets the reading role's password and no other.
func TestPsqlHoldsOnePassword(t *testing.T) {
	for _, test := range []struct{ role, secret, options string }{
		{reader, "shop-reader", "-c default_transaction_read_only=on"},
		{"app", passwordSecret(database()), ""},
	} {
		spec := psqlSpec(database(), "shop-postgresql", test.role, test.secret)
		env := map[string]core.EnvVar{}
		for _, variable := range spec.Containers[0].Env {
			env[variable.Name] = variable
		}
		if env["PGUSER"].Value != test.role || env["PGPASSWORD"].ValueFrom.SecretKeyRef.Name != test.secret || env["PGOPTIONS"].Value != test.options ||
			env["PGHOST"].Value != "shop-postgresql" || env["PGDATABASE"].Value != "shop" {
			t.Errorf("the environment is %+v", env)
		}
		if len(spec.Volumes) != 1 || spec.Volumes[0].EmptyDir == nil || len(spec.Containers[0].EnvFrom) > 0 {
			t.Errorf("it is given more than it needs: %+v", spec.Volumes)
		}
	}
}

func TestPsqlWithoutPostgreSQL(t *testing.T) {
	err := shop(deployment("shop", "web")).Psql(t.Context(), SQL{}, Streams{}, progress.Discard)
	if err == nil || fault.Hint(err) == "" || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v (hint %q)", err, fault.Hint(err))
	}
}

// The password reaches neither the server nor its log.
func TestTheReadersPasswordIsNotInItsSQL(t *testing.T) {
	text, err := readerSQL("a very secret value")
	if err != nil || strings.Contains(text, "a very secret value") || !strings.Contains(text, "PASSWORD 'SCRAM-SHA-256$4096:") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestForwardFindsItsPods(t *testing.T) {
	service := &core.Service{ObjectMeta: metav1.ObjectMeta{Name: "shop-cache", Namespace: "staging"}, Spec: core.ServiceSpec{Selector: podLabels("cache")}}
	base := database()
	base.Labels = podLabels("database")
	base.Spec.Selector = &metav1.LabelSelector{MatchLabels: podLabels("database")}
	next := database() // of an upgrade, which does not serve
	next.Name, next.Labels = "shop-postgres18", podLabels("database-18")
	next.Spec.Selector = &metav1.LabelSelector{MatchLabels: podLabels("database-18")}
	serves := &core.Service{ObjectMeta: metav1.ObjectMeta{Name: "shop-postgresql", Namespace: "staging"}, Spec: core.ServiceSpec{Selector: podLabels("database")}}
	c := shop(deployment("shop", "web"), service, next, base, serves)
	for _, test := range []struct {
		forward Forward
		want    string
	}{
		{Forward{}, "app.kubernetes.io/component=web,app.kubernetes.io/instance=shop,app.kubernetes.io/name=shop"},
		{Forward{Database: true}, "app.kubernetes.io/component=database,app.kubernetes.io/instance=shop,app.kubernetes.io/name=shop"},
		{Forward{Service: "cache"}, "app.kubernetes.io/component=cache,app.kubernetes.io/instance=shop,app.kubernetes.io/name=shop"},
	} {
		got, err := c.forwardTo(t.Context(), test.forward)
		parts := strings.Split(got, ",")
		slices.Sort(parts)
		if err != nil || strings.Join(parts, ",") != test.want {
			t.Errorf("%+v: %s, %v", test.forward, got, err)
		}
	}
	if _, err := c.forwardTo(context.Background(), Forward{Service: "queue"}); !fault.IsUsage(err) {
		t.Errorf("got %v", err)
	}
}
