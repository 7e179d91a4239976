//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// webhook answers requests in a pod, and writes what they send to its log, a line
// each. The image of the database has Perl.
const webhook = `exec perl -MIO::Socket::INET -e '
$| = 1; my $s = IO::Socket::INET->new(LocalPort => 9999, Listen => 20, ReuseAddr => 1) or die;
while (my $c = $s->accept) {
  my $length = 0;
  while (my $line = <$c>) { $length = $1 if $line =~ /^content-length: *(\d+)/i; last if $line =~ /^\r?\n$/ }
  read($c, my $body, $length); print "$body\n";
  print $c "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"; close $c;
}'`

// toldOf are the messages that a webhook's pod has taken.
func (c *cluster) toldOf(t *testing.T, pod string) (titles, texts []string) {
	t.Helper()
	stream, err := c.CoreV1().Pods("staging").GetLogs(pod, &core.PodLogOptions{}).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for decoder := json.NewDecoder(stream); ; {
		var m struct{ Text string }
		if err := decoder.Decode(&m); err != nil {
			if err != io.EOF {
				t.Fatal(err)
			}
			return titles, texts
		}
		title, _, _ := strings.Cut(m.Text, "\n")
		titles, texts = append(titles, title), append(texts, m.Text)
	}
}

// testAlerts breaks several things at once. Each is told once, with its reason, and
// its end too; a deploy that goes back by itself is not told.
func testAlerts(t *testing.T) {
	c := running(t)
	hook := shell(t, "webhook", webhook)
	address := ""
	waitFor(t, "the webhook", time.Minute, func() error {
		pod, err := c.CoreV1().Pods("staging").Get(t.Context(), hook, metav1.GetOptions{})
		if err != nil || !ready(pod) {
			return fmt.Errorf("it does not run: %v", err)
		}
		address = pod.Status.PodIP
		return nil
	})
	c.early(t)
	folder := project(t, func(object) {})
	told := filepath.Join(folder, ".env")
	write(t, told, "ALERTS_URL=http://"+address+":9999/hook\n")
	if err := os.Chmod(told, 0o600); err != nil {
		t.Fatal(err)
	}
	mustBerth(t, "-C", folder, "deploy", "staging")
	t.Cleanup(func() {
		write(t, told, "ALERTS_URL=\n")
		mustBerth(t, "-C", folder, "deploy", "staging")
		berth(t, "-C", folder, "alerts").wants(t, 1, "nothing watches this cluster")
	})
	mustBerth(t, "-C", folder, "alerts", "test").wants(t, 0, "Sent from the cluster", "has taken it")

	bad := project(t, func(config object) { broken(config, "crash") })
	write(t, filepath.Join(bad, ".env"), readFile(t, told))
	if err := os.Chmod(filepath.Join(bad, ".env"), 0o600); err != nil {
		t.Fatal(err)
	}
	berth(t, "-C", bad, "deploy", "staging").wants(t, 1, "serves again")

	want := []string{
		"✓ local: a test message of berth", "✗ staging: report failed", "✗ staging: the certificate of ending.localhost ends in 2 days",
	}
	for _, fault := range c.faults(t) {
		want = append(want, "✗ staging: "+fault)
	}
	arrived := func() error {
		titles, _ := c.toldOf(t, hook)
		titles = slices.DeleteFunc(titles, ofMachine)
		slices.Sort(titles)
		slices.Sort(want)
		if !slices.Equal(titles, want) {
			return fmt.Errorf("told:\n%s\nwant:\n%s", strings.Join(titles, "\n"), strings.Join(want, "\n"))
		}
		return nil
	}
	took := waitFor(t, "every fault to be told", 4*time.Minute, arrived)
	_, texts := c.toldOf(t, hook)
	all := strings.Join(texts, "\n")
	for _, reason := range []string{"exit code 3", "out of rope for @\u2060everyone", "its limit of 32Mi", "no ink"} {
		if !strings.Contains(all, reason) {
			t.Errorf("no message says %q:\n%s", reason, all)
		}
	}
	berth(t, "-C", folder, "alerts").wants(t, 1, "staging: crash is in a crash loop")

	// A new pod tells nothing twice, and what has healed meanwhile.
	watch := c.pods(t, "watch", "app.kubernetes.io/name=watch")[0]
	now := int64(0)
	if err := c.CoreV1().Pods("watch").Delete(t.Context(), watch.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	c.removeFaults(t)
	want = append(want, "✓ staging: healed: noimage cannot get its image")
	healed := waitFor(t, "the end of one to be told", time.Minute, func() error {
		if titles, _ := c.toldOf(t, hook); !slices.Contains(titles, want[len(want)-1]) {
			return fmt.Errorf("told: %q", titles)
		}
		return nil
	})
	titles, _ := c.toldOf(t, hook)
	titles = slices.DeleteFunc(titles, ofMachine)
	for _, title := range titles {
		if !slices.Contains(want, title) && !strings.HasPrefix(title, "✓ staging: healed: ") {
			t.Errorf("told besides: %s", title)
		}
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(titles)))); n != len(titles) {
		t.Errorf("something is told twice: %q", titles)
	}
	t.Logf("%d faults were told within %s, an end within %s", len(want)-2, took, healed)
}

// ofMachine is what may be told of the machine that the tests run on.
func ofMachine(title string) bool { return strings.Contains(title, "local: the disk of ") }

// early makes what takes a while to break.
func (c *cluster) early(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { c.removeFaults(t) })
	image := c.pods(t, "production", "app.kubernetes.io/name=postgresql")[0].Spec.Containers[0].Image
	never := int32(0)
	failing := batch.JobSpec{BackoffLimit: &never, Template: core.PodTemplateSpec{Spec: modest(core.Container{
		Name: "app", Image: image, Command: []string{"bash", "-c", "echo no ink; exit 4"}})}}
	failing.Template.Spec.RestartPolicy = core.RestartPolicyNever
	cron := &batch.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "report", Labels: faulty},
		Spec: batch.CronJobSpec{Schedule: "* * * * *", ConcurrencyPolicy: batch.ForbidConcurrent, JobTemplate: batch.JobTemplateSpec{Spec: failing}}}
	if _, err := c.BatchV1().CronJobs("staging").Create(t.Context(), cron, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.endsSoon(t, "ending.localhost")
}

// faults breaks the rest, and returns how that is told.
func (c *cluster) faults(t *testing.T) (titles []string) {
	t.Helper()
	image := c.pods(t, "production", "app.kubernetes.io/name=postgresql")[0].Spec.Containers[0].Image
	small := core.ResourceRequirements{Limits: core.ResourceList{core.ResourceMemory: resource.MustParse("32Mi")}}
	for _, fault := range []struct {
		name, told string
		container  core.Container
	}{
		{"crash", "crash is in a crash loop", core.Container{Image: image, Command: []string{"bash", "-c", "echo 'panic: out of rope for @everyone'; exit 3"}}},
		{"greedy", "greedy ran out of memory and was killed", core.Container{Image: image, Resources: small,
			Command: []string{"bash", "-c", "[ -e /mark/once ] && exec sleep 1000; touch /mark/once; exec perl -e '$x = \"x\" x 300000000; sleep 1000'"}}},
		{"noimage", "noimage cannot get its image", core.Container{Image: "127.0.0.1:9/none:1"}},
	} {
		c.runs(t, fault.name, fault.container)
		titles = append(titles, fault.told)
	}
	if *deploys > usualDeploys {
		titles = append(titles, c.slowFaults(t, image)...)
	}
	return titles
}

// slowFaults are the kinds that take longer to be told, or are like others: for
// make soak.
func (c *cluster) slowFaults(t *testing.T, image string) (titles []string) {
	t.Helper()
	sleep := []string{"sleep", "1000"}
	huge := core.ResourceRequirements{Requests: core.ResourceList{core.ResourceMemory: resource.MustParse("4000Gi")}}
	small := core.ResourceRequirements{Limits: core.ResourceList{core.ResourceMemory: resource.MustParse("32Mi")}}
	nosuch := core.LocalObjectReference{Name: "nosuch"}
	for _, fault := range []struct {
		name, told string
		container  core.Container
	}{
		{"huge", "huge finds no node", core.Container{Command: sleep, Resources: huge}},
		{"noconfig", "noconfig cannot be started", core.Container{Command: sleep, Env: []core.EnvVar{{Name: "X",
			ValueFrom: &core.EnvVarSource{SecretKeyRef: &core.SecretKeySelector{LocalObjectReference: nosuch, Key: "x"}}}}}},
		{"badname", "badname cannot get its image", core.Container{Image: "UPPER//case"}},
		// It is never ready, as it would be for a moment on a busy machine.
		{"hungry", "hungry runs out of memory and is killed, again and again", core.Container{Resources: small,
			Command:        []string{"perl", "-e", `$x = "x" x 300000000; sleep 1000`},
			ReadinessProbe: &core.Probe{ProbeHandler: core.ProbeHandler{Exec: &core.ExecAction{Command: []string{"false"}}}}}},
		{"unready", "unready is not ready", core.Container{Command: []string{"bash", "-c", "touch /mark/ok; sleep 20; rm /mark/ok; exec sleep 1000"},
			ReadinessProbe: &core.Probe{PeriodSeconds: 2, FailureThreshold: 1, ProbeHandler: core.ProbeHandler{
				Exec: &core.ExecAction{Command: []string{"test", "-e", "/mark/ok"}}}}}},
	} {
		if fault.container.Image == "" {
			fault.container.Image = image
		}
		c.runs(t, fault.name, fault.container)
		titles = append(titles, fault.told)
	}
	never, yes, seconds := int32(0), true, int64(5)
	work := func(command ...string) batch.JobSpec {
		spec := batch.JobSpec{BackoffLimit: &never, Template: core.PodTemplateSpec{Spec: modest(core.Container{Name: "app", Image: image, Command: command})}}
		spec.Template.Spec.RestartPolicy = core.RestartPolicyNever
		return spec
	}
	slow := work(sleep...)
	slow.ActiveDeadlineSeconds = &seconds
	for name, spec := range map[string]batch.JobSpec{"import": work("false"), "slow": slow} {
		job := &batch.Job{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: faulty}, Spec: spec}
		if _, err := c.BatchV1().Jobs("staging").Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		titles = append(titles, "job "+name+" failed")
	}
	asleep := &batch.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "asleep", Labels: faulty},
		Spec: batch.CronJobSpec{Schedule: "* * * * *", Suspend: &yes, JobTemplate: batch.JobTemplateSpec{Spec: work("true")}}}
	if _, err := c.BatchV1().CronJobs("staging").Create(t.Context(), asleep, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return append(titles, "asleep did not run")
}

// faulty is the label of what is broken on purpose.
var faulty = map[string]string{"e2e": "fault"}

// runs makes a Deployment of one container.
func (c *cluster) runs(t *testing.T, name string, container core.Container) {
	t.Helper()
	labels := map[string]string{"e2e": "fault", "fault": name}
	container.Name = "app"
	container.VolumeMounts = []core.VolumeMount{{Name: "mark", MountPath: "/mark"}}
	spec := modest(container)
	spec.Volumes = []core.Volume{{Name: "mark", VolumeSource: core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{}}}}
	d := &apps.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: faulty}, Spec: apps.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: core.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
	}}
	if _, err := c.AppsV1().Deployments("staging").Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// modest is the spec of a pod that the standard restricted allows.
func modest(container core.Container) core.PodSpec {
	yes, no, user, now := true, false, int64(65532), int64(0)
	container.SecurityContext = &core.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &core.Capabilities{Drop: []core.Capability{"ALL"}}}
	return core.PodSpec{
		AutomountServiceAccountToken: &no, TerminationGracePeriodSeconds: &now, Containers: []core.Container{container},
		SecurityContext: &core.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user, FSGroup: &user,
			SeccompProfile: &core.SeccompProfile{Type: core.SeccompProfileTypeRuntimeDefault}},
	}
}

// endsSoon serves a host with a certificate that ends within days.
func (c *cluster) endsSoon(t *testing.T, host string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ends := time.Now().Add(60 * time.Hour)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: ends.Add(-1000 * time.Hour), NotAfter: ends}
	chain, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	secret := &core.Secret{ObjectMeta: metav1.ObjectMeta{Name: "ending", Labels: faulty}, Type: core.SecretTypeTLS, Data: map[string][]byte{
		core.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain}),
		core.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}}
	if _, err := c.CoreV1().Secrets("staging").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	existing, err := c.NetworkingV1().Ingresses("staging").Get(t.Context(), "realworld", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	in := &networking.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "ending", Labels: faulty}, Spec: *existing.Spec.DeepCopy()}
	in.Spec.TLS = []networking.IngressTLS{{Hosts: []string{host}, SecretName: "ending"}}
	in.Spec.Rules = in.Spec.Rules[:1]
	in.Spec.Rules[0].Host = host
	if _, err := c.NetworkingV1().Ingresses("staging").Create(t.Context(), in, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// removeFaults takes away what is broken on purpose.
func (c *cluster) removeFaults(t *testing.T) {
	t.Helper()
	ctx, background := t.Context(), metav1.DeletePropagationBackground
	if ctx.Err() != nil {
		ctx = context.Background() // the test has ended
	}
	these, how := metav1.ListOptions{LabelSelector: "e2e=fault"}, metav1.DeleteOptions{PropagationPolicy: &background}
	for what, remove := range map[string]func() error{
		"Deployments": func() error { return c.AppsV1().Deployments("staging").DeleteCollection(ctx, how, these) },
		"Jobs":        func() error { return c.BatchV1().Jobs("staging").DeleteCollection(ctx, how, these) },
		"CronJobs":    func() error { return c.BatchV1().CronJobs("staging").DeleteCollection(ctx, how, these) },
		"Ingresses":   func() error { return c.NetworkingV1().Ingresses("staging").DeleteCollection(ctx, how, these) },
		"Secrets":     func() error { return c.CoreV1().Secrets("staging").DeleteCollection(ctx, how, these) },
	} {
		if err := remove(); err != nil {
			t.Errorf("remove the %s: %v", what, err)
		}
	}
}
