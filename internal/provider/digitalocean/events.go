package digitalocean

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"berth/internal/progress"
)

// events draws what Terraform reports of its work as steps of a reporter. It
// takes the lines of its machine-readable view,
// https://developer.hashicorp.com/terraform/internals/machine-readable-ui.
type events struct {
	reporter progress.Reporter

	mu       sync.Mutex
	rest     []byte
	steps    map[string]progress.Step
	failures []diagnostic
}

type event struct {
	Type string `json:"type"`
	Hook struct {
		Resource struct {
			Address string `json:"addr"`
		} `json:"resource"`
		Action         string  `json:"action"`
		ElapsedSeconds float64 `json:"elapsed_seconds"`
	} `json:"hook"`
	Diagnostic diagnostic `json:"diagnostic"`
}

type diagnostic struct {
	Severity string `json:"severity"`
	Summary  string `json:"summary"`
	Detail   string `json:"detail"`
	Address  string `json:"address"`
}

func (d diagnostic) String() string {
	text := d.Summary
	if d.Detail != "" && d.Detail != d.Summary {
		text += ": " + strings.Join(strings.Fields(d.Detail), " ")
	}
	if d.Address != "" {
		return title(d.Address) + ": " + text
	}
	return text
}

// Write implements io.Writer for the lines of Terraform's standard output.
func (e *events) Write(text []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rest = append(e.rest, text...)
	for {
		line, rest, whole := bytes.Cut(e.rest, []byte("\n"))
		if !whole {
			return len(text), nil
		}
		e.rest = rest
		var one event
		// What is no JSON is no event: a plugin may print.
		if json.Unmarshal(line, &one) == nil {
			e.take(one)
		}
	}
}

func (e *events) take(one event) {
	address := one.Hook.Resource.Address
	switch one.Type {
	case "apply_start":
		if e.steps == nil {
			e.steps = map[string]progress.Step{}
		}
		e.steps[address] = e.reporter.Step(activity(one.Hook.Action, address))
	case "apply_progress":
		if step, ok := e.steps[address]; ok {
			elapsed := time.Duration(one.Hook.ElapsedSeconds) * time.Second
			step.Detail("since " + elapsed.String())
		}
	case "apply_complete":
		e.finish(address, nil)
	case "apply_errored":
		e.finish(address, errors.New("see below"))
	case "diagnostic":
		if one.Diagnostic.Severity == "error" {
			e.failures = append(e.failures, one.Diagnostic)
		}
	}
}

func (e *events) finish(address string, err error) {
	if step, ok := e.steps[address]; ok {
		step.End(err)
		delete(e.steps, address)
	}
}

// end closes the steps that Terraform was killed in.
func (e *events) end(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for address := range e.steps {
		e.finish(address, err)
	}
}

var activities = map[string]string{"create": "Make", "update": "Change", "delete": "Remove", "read": "Read", "replace": "Replace"}

func activity(action, address string) string {
	verb, ok := activities[action]
	if !ok {
		verb = action
	}
	return verb + " " + title(address)
}

// titles are what people call the things that the module makes.
var titles = map[string]string{
	vpcType:                          "the network",
	clusterType:                      "the Kubernetes cluster",
	bucketType:                       "the Space for backups and logs",
	"digitalocean_spaces_key":        "the Space's key",
	"digitalocean_project":           "the project",
	"digitalocean_project_resources": "the list of what is in the project",
	"digitalocean_domain":            "the domain",
	"digitalocean_record":            "the DNS record",
	registryType:                     "the container registry",
	databaseType:                     "the PostgreSQL cluster",
	firewallType:                     "the PostgreSQL cluster's firewall",
	databaseSchemaType:               "the database",
}

// title is what a resource's address stands for, in words.
func title(address string) string {
	kind, rest, _ := strings.Cut(address, ".")
	words, ok := titles[kind]
	if !ok {
		return address
	}
	if _, key, found := strings.Cut(rest, `["`); found {
		return words + " " + strings.TrimSuffix(key, `"]`)
	}
	return words
}

// explainRun says why Terraform failed: by its own diagnostics where it gave
// any, with a hint where an API request was refused.
func explainRun(what string, err error, said *events) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", what, err)
	}
	text := err.Error()
	failed := fmt.Errorf("%s: %w", what, plain(err))
	if said != nil && len(said.failures) > 0 {
		var lines []string
		for _, failure := range said.failures {
			if line := failure.String(); !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
		text = strings.Join(lines, "\n")
		failed = fmt.Errorf("%s: %s", what, strings.Join(lines, "\n  "))
	}
	return explainText(failed, text)
}

// plain takes the frame away that Terraform draws around an error for people,
// and the warnings before it.
func plain(err error) error {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(strings.Trim(strings.TrimSpace(line), "╷│╵"))
		if line != "" && !strings.HasPrefix(line, "exit status") {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return err
	}
	text := strings.Join(lines, " ")
	if _, after, found := strings.Cut(text, "Error: "); found {
		text = after
	}
	return errors.New(text)
}
