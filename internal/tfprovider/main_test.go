package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digitalocean/godo"
	"github.com/hashicorp/terraform-exec/tfexec"
	tfjson "github.com/hashicorp/terraform-json"
	"golang.org/x/oauth2"

	"berth/internal/fakedo/fake"
	"berth/internal/progress"
	"berth/internal/s3test"
	"berth/internal/terraform"
	"berth/internal/tfprovider/mirror"
)

// What all tests here share: the real program, the plugin, and an S3 server.
var (
	program   string
	cliConfig string
	s3        *s3test.Server
)

func TestMain(m *testing.M) {
	status, err := setUp(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func setUp(m *testing.M) (status int, err error) {
	cache, err := terraform.Cache()
	if err != nil {
		return 1, err
	}
	if program, err = terraform.Program(context.Background(), cache, progress.Discard); err != nil {
		return 1, err
	}
	folder, err := os.MkdirTemp("", "tfprovider-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if cliConfig, err = mirror.Install(folder); err != nil {
		return 1, err
	}
	if s3, err = s3test.Start(); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, s3.Stop()) }()
	return m.Run(), nil
}

// stage is a folder with a configuration, and an account to apply it to.
type stage struct {
	*tfexec.Terraform
	t      *testing.T
	fake   *fake.Server
	api    *godo.Client
	folder string
}

// token is the account's, in no output of any command.
const token = "dop_v1_0123456789abcdef"

// newStage starts an account and makes a folder with these files.
func newStage(t *testing.T, options fake.Options, files map[string]string) *stage {
	t.Helper()
	options.S3, options.S3AccessKey, options.S3SecretKey = "http://"+s3.Address, s3test.AccessKey, s3test.SecretKey
	server := fake.Start(t, options)
	access, secret := server.NewSpacesKey("first")
	s := &stage{t: t, fake: server, folder: t.TempDir()}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if s.Terraform, err = tfexec.NewTerraform(s.folder, program); err != nil {
		t.Fatal(err)
	}
	if err := s.SetEnv(map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": t.TempDir(), "TMPDIR": os.TempDir(), "TF_CLI_CONFIG_FILE": cliConfig,
		"DIGITALOCEAN_TOKEN": token, "DIGITALOCEAN_API_URL": server.URL,
		"SPACES_ACCESS_KEY_ID": access, "SPACES_SECRET_ACCESS_KEY": secret, "SPACES_ENDPOINT_URL": server.URL,
	}); err != nil {
		t.Fatal(err)
	}
	client := oauth2.NewClient(context.Background(), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token}))
	if s.api, err = godo.New(client, godo.SetBaseURL(server.URL+"/")); err != nil {
		t.Fatal(err)
	}
	if err := s.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// configuration is berth's own, in terraform/digitalocean.
func configuration(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../../terraform/digitalocean/*.tf")
	if err != nil || len(paths) == 0 {
		t.Fatalf("berth's configuration is not there: %v", err)
	}
	files := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = string(text)
	}
	return files
}

// newBucket returns a name that no other test uses: they share one S3 server.
func newBucket(t *testing.T) string {
	return strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))
}

// variables writes the values that the next commands take, and a bucket of the
// test's own.
func (s *stage) variables(lines ...string) {
	s.t.Helper()
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "bucket = ") }) {
		lines = append(lines, fmt.Sprintf("bucket = %q", newBucket(s.t)))
	}
	if err := os.WriteFile(filepath.Join(s.folder, "terraform.tfvars"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) apply() {
	s.t.Helper()
	if err := s.Apply(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// plan returns what would be done to each resource that something would be done
// to: "update", "create", "delete create".
func (s *stage) plan() map[string]string {
	s.t.Helper()
	changes := map[string]string{}
	for _, change := range s.planFile().ResourceChanges {
		var actions []string
		for _, action := range change.Change.Actions {
			if action != tfjson.ActionNoop && action != tfjson.ActionRead {
				actions = append(actions, string(action))
			}
		}
		if len(actions) > 0 {
			changes[change.Address] = strings.Join(actions, " ")
		}
	}
	return changes
}

func (s *stage) planFile() *tfjson.Plan {
	s.t.Helper()
	if _, err := s.Plan(s.t.Context(), tfexec.Out("plan")); err != nil {
		s.t.Fatal(err)
	}
	plan, err := s.ShowPlanFile(s.t.Context(), "plan")
	if err != nil {
		s.t.Fatal(err)
	}
	return plan
}

// wantNoChange fails the test unless the configuration and the account agree, in
// the outputs as well.
func (s *stage) wantNoChange() {
	s.t.Helper()
	changes, err := s.Plan(s.t.Context(), tfexec.Out("plan"))
	if err != nil {
		s.t.Fatal(err)
	}
	if changes {
		shown, err := s.ShowPlanFileRaw(s.t.Context(), "plan")
		s.t.Errorf("there are changes: %v\n%s", err, shown)
	}
}

func (s *stage) wantPlan(want map[string]string) {
	s.t.Helper()
	got := s.plan()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("the plan is %v, not %v", got, want)
	}
}

func (s *stage) account() *fake.Account {
	s.t.Helper()
	account, err := s.fake.Account()
	if err != nil {
		s.t.Fatal(err)
	}
	return account
}

// failed fails the test unless err tells one of these texts. Terraform breaks
// lines where it likes.
func failed(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("there was no error, but there should be one of %q", texts)
		return
	}
	told := strings.Join(strings.Fields(strings.NewReplacer("│", " ", "╷", " ", "╵", " ").Replace(err.Error())), " ")
	for _, text := range texts {
		if !strings.Contains(told, text) {
			t.Errorf("the error does not tell %q:\n%v", text, err)
		}
	}
}
