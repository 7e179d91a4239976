//go:build e2e

package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/bucket"
)

// archive is where the S3 gateway keeps the log lines' objects as files.
const archive = state + "/buckets/berth/logs/"

// line is what berth logs --json writes.
type line struct {
	Message, Pod, Node, Container string
	Fields                        struct {
		RequestID string  `json:"request_id"`
		Path      string  `json:"path"`
		Status    int     `json:"status"`
		Latency   float64 `json:"latency_ms"`
	}
}

// requestLine returns the line of a request with a marker in its path, if it is there.
func requestLine(t *testing.T, marker string) (line, error) {
	t.Helper()
	o := mustBerth(t, "logs", "production", "--grep", marker, "--json")
	for text := range strings.Lines(o.printed) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if strings.Contains(l.Fields.Path, marker) {
			return l, nil
		}
	}
	return line{}, fmt.Errorf("no line of a request for %s in:\n%s", marker, o.printed)
}

// A request's line is found while its pod lives, and after that.
func testLogs(t *testing.T) {
	c := running(t)
	marker := unique("marker")
	s := newSite(t, production)
	request, err := s.request("GET", "/api/articles/"+marker, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := s.client.Do(request); err != nil {
		t.Fatal(err)
	} else {
		response.Body.Close()
	}
	var live line
	waitFor(t, "the live line", 10*time.Second, func() (err error) {
		live, err = requestLine(t, marker)
		return err
	})
	if f := live.Fields; f.RequestID == "" || f.Status != 404 || f.Latency <= 0 || live.Pod == "" || live.Node == "" {
		t.Errorf("the live line is incomplete: %+v", live)
	}
	if err := c.CoreV1().Pods("production").Delete(t.Context(), live.Pod, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the pod to go", time.Minute, func() error {
		_, err := c.CoreV1().Pods("production").Get(t.Context(), live.Pod, metav1.GetOptions{})
		if err == nil {
			return errors.New("it is still there")
		}
		return nil
	})
	var kept line
	took := waitFor(t, "the archived line", 90*time.Second, func() (err error) {
		kept, err = requestLine(t, marker)
		return err
	})
	if kept != live {
		t.Errorf("archived is %+v, live was %+v", kept, live)
	}
	t.Logf("found in the archive %s after its pod had gone", took)
	mustBerth(t, "status").wants(t, 0, "bucket")

	t.Run("key", testLogKey)
	t.Run("secrets", testLogSecrets)
	t.Run("outage", testLogOutage)
}

// The agent's key, which is on every node, opens neither backups nor logs.
func testLogKey(t *testing.T) {
	secret, err := running(t).CoreV1().Secrets("logging").Get(t.Context(), "logs-bucket", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := bucket.New(bucket.Options{
		Endpoint: "https://10.118.0.1:9000", Region: "us-east-1", Name: "berth", CA: secret.Data["ca.crt"],
		AccessKey: string(secret.Data["BUCKET_ACCESS_KEY"]), SecretKey: string(secret.Data["BUCKET_SECRET_KEY"]),
	})
	if err != nil {
		t.Fatal(err)
	}
	denied := false
	for object, err := range opened.List(t.Context(), bucket.ListOptions{}) {
		if denied = errors.Is(err, bucket.ErrDenied); !denied {
			t.Fatalf("the agent's key lists %s, %v", object.Name, err)
		}
	}
	if !denied {
		t.Error("the agent's key may list the bucket")
	}
}

// What users send to prove who they are is in no sink.
func testLogSecrets(t *testing.T) {
	secret := unique("opensesame")
	var answer struct{ User struct{ Token string } }
	s := newSite(t, production)
	s.call(t, "POST", "/api/users", object{"user": object{
		"username": unique("secretive"), "email": secret + "@example.com", "password": secret,
	}}, &answer)
	s.token = answer.User.Token
	s.call(t, "GET", "/api/user", nil, nil)
	// The application logs none of that. Others may.
	shell(t, "secrets", `printf '{"msg":"login","password":"`+secret+`"}\nAuthorization: Token `+s.token+`\nurl=postgres://app:`+secret+`@db/app of `+secret+`@example.com\nthe last line of secrets\n'; sleep 60`)
	waitFor(t, "the lines in the archive", 90*time.Second, func() error {
		if text := archivedText(t, "staging"); !strings.Contains(text, "the last line of secrets") {
			return errors.New("they are not there")
		}
		return nil
	})
	text := archivedText(t, "staging") + archivedText(t, "production")
	for _, hidden := range []string{secret, s.token} {
		if at := strings.Index(text, hidden); at >= 0 {
			t.Errorf("%s is in the archive: %s", hidden, text[max(0, at-200):at+len(hidden)])
		}
	}
	if !strings.Contains(text, "[redacted]") {
		t.Error("nothing was redacted")
	}
}

const (
	lineRate  = 1000 // lines a second
	lineCount = 90_000
	longEvery = 5000 // every so many lines one is longer than a runtime's 16 KiB
	longBytes = 40_000
)

// The sink is away for a minute, the agent is killed five times meanwhile and
// log files are rotated: every line arrives.
func testLogOutage(t *testing.T) {
	c := running(t)
	run := unique("run")
	pod := shell(t, "lines", fmt.Sprintf(`
pad=$(printf '%%0400d' 0); long=$(printf '%%0%dd' 0); i=0
while [ $i -lt %d ]; do
  for ((j = 0; j < 100; j++)); do
    i=$((i + 1)); p=$pad; [ $((i %% %d)) -eq 0 ] && p=$long
    printf '{"level":"info","msg":"%s %%d.","pad":"%%s"}\n' $i $p
  done
  sleep 0.09
done
sleep 600`, longBytes, lineCount, longEvery, run))
	time.Sleep(5 * time.Second)

	gateway, err := partPID("s3-gateway")
	if err != nil {
		t.Fatal(err)
	}
	signal(t, gateway, syscall.SIGSTOP)
	stopped := time.Now()
	resumed := false
	resume := func() {
		if !resumed {
			resumed = true
			signal(t, gateway, syscall.SIGCONT)
		}
	}
	defer resume()
	for range 5 {
		time.Sleep(8 * time.Second)
		killAgent(t, c)
	}
	time.Sleep(time.Until(stopped.Add(time.Minute)))
	resume()
	t.Logf("the sink was away for %s", time.Since(stopped).Round(time.Second))

	var seen map[int]int
	var broken int
	took := waitFor(t, "every line in the archive", 4*time.Minute, func() error {
		seen, broken = numbered(t, run)
		if missing := lineCount - len(seen); missing > 0 {
			time.Sleep(2 * time.Second)
			return fmt.Errorf("%d of %d lines are missing", missing, lineCount)
		}
		return nil
	})
	twice := 0
	for _, times := range seen {
		twice += times - 1
	}
	t.Logf("%d lines arrived within %s after the sink was back, %d of them again", len(seen), took, twice)
	if broken > 0 {
		t.Errorf("%d long lines are not whole", broken)
	}
	if twice > lineCount/2 {
		t.Errorf("%d lines came again: more than what was in flight", twice)
	}
	rotated, err := filepath.Glob(filepath.Join(state, "pod-logs", "*", "staging_"+pod+"_*", "*", "0.log.*"))
	if err != nil || len(rotated) == 0 {
		t.Errorf("the log was not rotated: %v, %v", rotated, err)
	}
}

// killAgent ends the agent's process, and its pod, as the kubelet would wait
// longer with every restart.
func killAgent(t *testing.T, c *cluster) {
	t.Helper()
	var agent core.Pod
	waitFor(t, "a running agent", 30*time.Second, func() error {
		for _, pod := range c.pods(t, "logging", "app.kubernetes.io/instance=collector") {
			if pod.DeletionTimestamp == nil && pod.Status.Phase == core.PodRunning && len(podProcesses(t, pod)) > 0 {
				agent = pod
				return nil
			}
		}
		return errors.New("there is none")
	})
	for _, pid := range podProcesses(t, agent) {
		kill(t, pid)
	}
	now := int64(0)
	if err := c.CoreV1().Pods("logging").Delete(t.Context(), agent.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
}

func signal(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Errorf("%s to process %d: %v", s, pid, err)
	}
}

// shell runs a script in a pod of staging until the test ends, in the image of
// the database, which has a shell.
func shell(t *testing.T, name, script string) (pod string) {
	t.Helper()
	c := running(t)
	database := c.pods(t, "production", "app.kubernetes.io/name=postgresql")[0]
	yes, no, user := true, false, int64(65532)
	made, err := c.CoreV1().Pods("staging").Create(t.Context(), &core.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-" + name + "-"},
		Spec: core.PodSpec{
			RestartPolicy: core.RestartPolicyNever, AutomountServiceAccountToken: &no,
			SecurityContext: &core.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user, SeccompProfile: &core.SeccompProfile{Type: core.SeccompProfileTypeRuntimeDefault}},
			Containers: []core.Container{{
				Name: "shell", Image: database.Spec.Containers[0].Image, Command: []string{"bash", "-c", script},
				SecurityContext: &core.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &core.Capabilities{Drop: []core.Capability{"ALL"}}},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		now := int64(0)
		// The test's own context has ended.
		if err := c.CoreV1().Pods("staging").Delete(context.Background(), made.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
			t.Error(err)
		}
	})
	return made.Name
}

// archivedText is everything that is in the archive of an environment.
func archivedText(t *testing.T, environment string) string {
	t.Helper()
	var all strings.Builder
	eachArchived(t, environment, func(lines []byte) { all.Write(lines) })
	return all.String()
}

// eachArchived reads the archive's objects.
func eachArchived(t *testing.T, environment string, each func(lines []byte)) {
	t.Helper()
	err := filepath.WalkDir(archive+environment, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !strings.HasSuffix(path, ".json.gz") {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		unzipped, err := gzip.NewReader(file)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		lines, err := io.ReadAll(unzipped)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		each(lines)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// numbered counts how often each line of a run arrived, and the long ones that
// are not whole.
func numbered(t *testing.T, run string) (seen map[int]int, broken int) {
	t.Helper()
	seen = map[int]int{}
	eachArchived(t, "staging", func(lines []byte) {
		for text := range bytes.Lines(lines) {
			if !bytes.Contains(text, []byte(run)) {
				continue
			}
			var l struct {
				Message string
				Fields  struct{ Pad string }
			}
			if err := json.Unmarshal(text, &l); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			var number int
			if _, err := fmt.Sscanf(l.Message, run+" %d.", &number); err != nil {
				broken++ // as a piece of a line is no JSON, all of it is the message
				continue
			}
			seen[number]++
			want := 400
			if number%longEvery == 0 {
				want = longBytes
			}
			if len(l.Fields.Pad) != want {
				broken++
			}
		}
	})
	return seen, broken
}
