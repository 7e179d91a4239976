package digitalocean

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"
	tfjson "github.com/hashicorp/terraform-json"

	"berth/internal/config"
	"berth/internal/progress"
	"berth/internal/terraform"
	module "berth/terraform/digitalocean"
)

//go:embed wanted.tf
var wantedOutputs []byte

const (
	stateFile     = "terraform.tfstate"
	planFile      = "berth.tfplan"
	variablesFile = "berth.auto.tfvars.json"
	// lockTimeout is how long to wait for another who changes the same state.
	lockTimeout = "60s"
	// endTime is how long Terraform has to end after an interrupt: it first
	// waits for the requests that are on their way.
	endTime = 3 * time.Minute
)

// workspace is the folder in which Terraform works for one cluster: the module,
// its variables and, unless a Space keeps it, the state. The state holds
// secrets, so nobody else reads the folder or a file in it.
type workspace struct {
	dir      string
	exec     *tfexec.Terraform
	reporter progress.Reporter
	// remote says that a Space keeps the state, and ready that the plugin is there
	// for a state that it does not.
	remote, ready bool
}

// open prepares Terraform's workspace.
func (p *Provider) open(ctx context.Context, r progress.Reporter) (*workspace, error) {
	if _, _, err := spaceKeys(p.config); err != nil {
		return nil, err
	}
	cache, err := terraform.Cache()
	if err != nil {
		return nil, err
	}
	program, err := terraform.Program(ctx, cache, r)
	if err != nil {
		return nil, err
	}
	var w *workspace
	err = progress.Run(r, "Prepare Terraform", func(progress.Step) error {
		if err := p.makeFolder(); err != nil {
			return err
		}
		if w, err = p.workspace.open(filepath.Join(p.folder(), "terraform"), program, p.config, r); err != nil {
			return err
		}
		p.workspace = w
		var b *backend
		if p.config.DigitalOcean.State != "" {
			if b, err = newBackend(p.config); err != nil {
				return err
			}
		}
		return w.init(ctx, b)
	})
	return w, err
}

// open writes the module into a folder. Terraform is the program's path. It goes on
// with the workspace that was opened before, which may be nil.
func (w *workspace) open(dir, program string, c *config.Config, r progress.Reporter) (*workspace, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make Terraform's folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("close Terraform's folder to others: %w", err)
	}
	if w == nil || w.dir != dir || w.exec.ExecPath() != program {
		exec, err := tfexec.NewTerraform(dir, program)
		if err != nil {
			return nil, err
		}
		if err := exec.SetWaitDelay(endTime); err != nil {
			return nil, err
		}
		w = &workspace{dir: dir, exec: exec}
	}
	w.reporter = r
	if err := w.writeModule(); err != nil {
		return nil, fmt.Errorf("write Terraform's module: %w", err)
	}
	if err := w.exec.SetEnv(environment(c, os.Environ())); err != nil {
		return nil, err
	}
	return w, nil
}

// environment is what Terraform runs with: the caller's own, which says where
// programs, proxies and plugin mirrors are, and the secrets, which must not be
// in its arguments.
func environment(c *config.Config, environ []string) map[string]string {
	all := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok {
			all[name] = value
		}
	}
	all = tfexec.CleanEnv(all)
	delete(all, "TF_DATA_DIR") // the plugins belong in the workspace
	for _, name := range []string{
		config.DigitalOceanToken, config.SpacesAccessKey, config.SpacesSecretKey, config.DigitalOceanAPIURL, config.SpacesEndpointURL,
	} {
		delete(all, name)
		if value := c.DotEnv[name]; value != "" {
			all[name] = value
		}
	}
	if c.DigitalOcean.State != "" {
		// What the backend reaches its Space by.
		for _, name := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"} {
			delete(all, name)
		}
		all["AWS_ACCESS_KEY_ID"], all["AWS_SECRET_ACCESS_KEY"] = c.DotEnv[config.SpacesAccessKey], c.DotEnv[config.SpacesSecretKey]
	}
	// The plugin would take this one before the other.
	delete(all, "DIGITALOCEAN_ACCESS_TOKEN")
	return all
}

// writeModule replaces the module's files, so that none of an older berth stays.
func (w *workspace) writeModule() error {
	old, err := filepath.Glob(filepath.Join(w.dir, "*.tf"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	names, err := fs.Glob(module.Files, "*.tf")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := module.Files.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(w.path(name), text, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(w.path("wanted.tf"), wantedOutputs, 0o600)
}

func (w *workspace) path(name string) string { return filepath.Join(w.dir, name) }

// init makes the workspace ready: the plugin, and the backend, which is nil for
// a file. It is quick when it has been done before.
func (w *workspace) init(ctx context.Context, b *backend) error {
	// Terraform would make them readable by all.
	for _, name := range []string{stateFile, stateFile + ".backup"} {
		file, err := os.OpenFile(w.path(name), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		file.Close()
	}
	w.remote = b != nil
	if _, err := os.Stat(w.path(".terraform")); err == nil && w.ready && !w.remote {
		return w.close()
	}
	w.ready = false
	options := []tfexec.InitOption{tfexec.Reconfigure(true)}
	if b != nil {
		var err error
		if options, err = w.useBackend(ctx, b); err != nil {
			return err
		}
	}
	defer w.sayInterrupted(ctx)()
	if err := w.exec.Init(ctx, options...); err != nil {
		return explainRun("initialize Terraform", err, nil)
	}
	w.ready = !w.remote
	return w.close()
}

// useBackend has Terraform keep the state in the Space. What this machine has
// is moved there, unless there is one already.
func (w *workspace) useBackend(ctx context.Context, b *backend) ([]tfexec.InitOption, error) {
	if err := b.make(ctx); err != nil {
		return nil, err
	}
	locks, err := b.locks(ctx)
	if err != nil {
		return nil, err
	}
	if locks {
		program, _, err := w.exec.Version(ctx, false)
		if err != nil {
			return nil, explainRun("ask Terraform for its version", err, nil)
		}
		locks = !program.LessThan(lockfiles)
	}
	if err := b.breakOwnLock(ctx); err != nil {
		return nil, err
	}
	there, err := b.has(ctx)
	if err != nil {
		return nil, err
	}
	if err := writePrivate(w.path(backendFile), b.configuration(locks)); err != nil {
		return nil, fmt.Errorf("write where the state is: %w", err)
	}
	if there {
		return []tfexec.InitOption{tfexec.Reconfigure(true)}, nil
	}
	return []tfexec.InitOption{tfexec.ForceCopy(true)}, nil
}

// close takes from others what Terraform may have let them read.
func (w *workspace) close() error {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			if err := os.Chmod(w.path(entry.Name()), 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func (w *workspace) writeVariables(v variables) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writePrivate(w.path(variablesFile), append(text, '\n'))
}

// state is what Terraform knows to be there.
type state struct {
	resources map[string]*tfjson.StateResource // by address
	outputs   map[string]*tfjson.StateOutput
}

func (w *workspace) state(ctx context.Context) (state, error) {
	s := state{resources: map[string]*tfjson.StateResource{}}
	if info, err := os.Stat(w.path(stateFile)); err == nil && info.Size() == 0 && !w.remote {
		return s, nil // as init has made it
	}
	shown, err := w.exec.Show(ctx)
	if err != nil {
		return s, explainRun("read Terraform's state", err, nil)
	}
	if shown.Values == nil {
		return s, nil
	}
	s.outputs = shown.Values.Outputs
	if root := shown.Values.RootModule; root != nil {
		for _, resource := range root.Resources {
			if resource.Mode == tfjson.ManagedResourceMode {
				s.resources[resource.Address] = resource
			}
		}
	}
	return s, nil
}

// has reports whether an address is in the state.
func (s state) has(address string) bool {
	_, ok := s.resources[address]
	return ok
}

// id is the identifier of what an address stands for, or "".
func (s state) id(address string) string {
	if resource, ok := s.resources[address]; ok {
		id, _ := resource.AttributeValues["id"].(string)
		return id
	}
	return ""
}

// text is an output that is a text, or "".
func (s state) text(name string) string {
	if output, ok := s.outputs[name]; ok {
		text, _ := output.Value.(string)
		return text
	}
	return ""
}

// number is an output that is a number, or 0.
func (s state) number(name string) int {
	if output, ok := s.outputs[name]; ok {
		switch number := output.Value.(type) {
		case float64:
			return int(number)
		case json.Number:
			if value, err := number.Int64(); err == nil {
				return int(value)
			}
		}
	}
	return 0
}

// importsFile tells Terraform what exists already.
const importsFile = "imports.tf"

// importID is what identifiers are made of; nothing in them could be read as
// Terraform's language.
var importID = regexp.MustCompile(`^[A-Za-z0-9._,:-]+$`)

// writeImports has the next plan take over what exists. Unlike the import
// command that changes no state before the plan is applied.
func (w *workspace) writeImports(things []foundThing) error {
	var text strings.Builder
	for _, thing := range things {
		if !importID.MatchString(thing.id) {
			return fmt.Errorf("%s has the identifier %q, which is none", title(thing.address), thing.id)
		}
		fmt.Fprintf(&text, "import {\n  to = %s\n  id = \"%s\"\n}\n\n", thing.address, thing.id)
	}
	return writePrivate(w.path(importsFile), []byte(text.String()))
}

// untaint tells Terraform that what holds data is good, although making it was
// interrupted: it would make it again. What is wrong with it shows in the wait
// for its nodes.
func (w *workspace) untaint(ctx context.Context, known state) error {
	for address, resource := range known.resources {
		if resource.Tainted && slices.Contains(protected, resource.Type) {
			if err := w.exec.Untaint(ctx, address); err != nil {
				return explainRun("go on with "+title(address), err, nil)
			}
		}
	}
	return w.close()
}

// add takes what exists into the state.
func (w *workspace) add(ctx context.Context, address, id string) error {
	defer w.sayInterrupted(ctx)()
	err := w.exec.Import(ctx, address, id, tfexec.LockTimeout(lockTimeout))
	return errors.Join(explainRun("import "+address, err, nil), w.close())
}

// forget takes an address out of the state and leaves the thing as it is.
func (w *workspace) forget(ctx context.Context, address string) error {
	err := w.exec.StateRm(ctx, address, tfexec.LockTimeout(lockTimeout))
	return errors.Join(explainRun("keep "+address, err, nil), w.close())
}

// plan works out what must be done and keeps it in a file for apply.
func (w *workspace) plan(ctx context.Context, destroy bool, targets ...string) (*tfjson.Plan, error) {
	options := []tfexec.PlanOption{tfexec.Out(planFile), tfexec.Destroy(destroy), tfexec.LockTimeout(lockTimeout)}
	for _, target := range targets {
		options = append(options, tfexec.Target(target))
	}
	defer w.sayInterrupted(ctx)()
	said := &events{reporter: progress.Discard}
	_, err := w.exec.PlanJSON(ctx, said, options...)
	w.exec.SetStdout(io.Discard)
	if err := errors.Join(explainRun("plan", err, said), w.close()); err != nil {
		return nil, err
	}
	plan, err := w.exec.ShowPlanFile(ctx, planFile)
	if err != nil {
		return nil, explainRun("read the plan", err, nil)
	}
	return plan, nil
}

// apply does what plan has worked out, each resource as a step of r.
func (w *workspace) apply(ctx context.Context, r progress.Reporter) error {
	defer w.sayInterrupted(ctx)()
	said := &events{reporter: r}
	err := w.exec.ApplyJSON(ctx, said, tfexec.DirOrPlan(planFile), tfexec.LockTimeout(lockTimeout))
	w.exec.SetStdout(io.Discard)
	err = explainRun("apply the plan", err, said)
	said.end(err)
	return errors.Join(err, w.close(), w.dropPlan())
}

// sayInterrupted says at once that an interrupt was heard: Terraform ends what is
// on its way, which takes its time. The caller calls stop when Terraform is done.
func (w *workspace) sayInterrupted(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		w.reporter.Note(fmt.Sprintf("interrupted: Terraform finishes the requests that it has sent, which takes up to %s; "+
			"Ctrl-C again ends it at once; run the same command again to continue", endTime))
	})
}

// dropPlan removes the plan, which holds secrets as the state does.
func (w *workspace) dropPlan() error {
	if err := os.Remove(w.path(planFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
