package release

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"berth/internal/config"
	"berth/internal/fault"
)

// Given is what an application is given in an environment: by what is deployed,
// and by what a deploy would make of berth.yaml and .env now.
type Given struct {
	Environment string `json:"environment"`
	Process     string `json:"process"`
	Revision    int    `json:"revision"`
	Image       string `json:"image"`
	// Variables by name.
	Variables []Variable `json:"variables"`
	// Differs says that a deploy of the same image would change something:
	// a variable here, or anything else that berth.yaml says.
	Differs bool `json:"differs"`
}

// Variable is one environment variable of the application.
type Variable struct {
	Name string `json:"name"`
	// Value is empty for a secret, of which there is a checksum in its place:
	// two that differ have different ones, and nothing can be told from it
	// without reading the environment's Secrets.
	Value    string `json:"value,omitempty"`
	Secret   bool   `json:"secret,omitempty"`
	Checksum string `json:"checksum,omitempty"`
	// From says who gives it: "berth.yaml", ".env", "berth" …
	From string `json:"from"`
	// Now says what a deploy would do: "" nothing, "changed", "added" or
	// "removed".
	Now Difference `json:"now,omitempty"`
}

// Difference is what a deploy would change about a variable.
type Difference string

// The differences between what is deployed and what berth.yaml and .env say.
const (
	Same    Difference = ""
	Changed Difference = "changed"
	Added   Difference = "added"
	Removed Difference = "removed"
)

// Given tells what a process of an environment is given; "" is web. It changes
// nothing.
func (c *Client) Given(ctx context.Context, environment, process string) (Given, error) {
	given := Given{Environment: environment, Process: cmp.Or(process, "web"), Variables: []Variable{}}
	e, err := c.environment(environment)
	if err != nil {
		return given, err
	}
	h, err := c.release(environment)
	if err != nil {
		return given, err
	}
	past, err := h.History()
	if err != nil {
		return given, err
	}
	if err := h.Own(past); err != nil {
		return given, err
	}
	present := serving(past)
	if present == nil {
		return given, notDeployed(environment)
	}
	given.Revision, given.Image = present.Version, imageOf(present)
	secrets, err := c.secretsBeside(ctx, environment, e)
	if err != nil {
		return given, err
	}
	chart, err := c.chart()
	if err != nil {
		return given, err
	}
	manifest, err := h.Render(chart, values(c.config, environment, c.cluster, given.Image, secrets.names))
	if err != nil {
		return given, err
	}
	given.Differs = manifest != present.Manifest
	deployed, err := containerOf(present.Manifest, c.config.Name, process)
	if err != nil {
		return given, err
	}
	wanted, err := containerOf(manifest, c.config.Name, process)
	if err != nil {
		return given, err
	}
	if deployed == nil {
		return given, fault.Usage("revision %d of %s has no process %q", present.Version, environment, given.Process)
	}
	if wanted == nil {
		wanted = &core.Container{} // a deploy would remove it
	}
	from := func(name string, s setting) string { return c.from(environment, name, s) }
	given.Variables = compare(settings(*deployed, secrets.now), settings(*wanted, secrets.next), from, secrets.salt)
	return given, nil
}

// setting is a variable with what must not be shown.
type setting struct {
	value  string
	secret bool
	// of is the Secret that it comes from.
	of string
}

// settings are the variables of a container, with the values of the Secrets
// that it refers to. Later ones go before earlier ones, as for the kubelet.
func settings(container core.Container, secrets map[string]map[string][]byte) map[string]setting {
	all := map[string]setting{}
	for _, source := range container.EnvFrom {
		if source.SecretRef == nil {
			continue
		}
		for name, value := range secrets[source.SecretRef.Name] {
			all[source.Prefix+name] = setting{string(value), true, source.SecretRef.Name}
		}
	}
	for _, variable := range container.Env {
		from := variable.ValueFrom
		switch {
		case from == nil:
			all[variable.Name] = setting{value: undollared(variable.Value)}
		case from.SecretKeyRef != nil:
			all[variable.Name] = setting{string(secrets[from.SecretKeyRef.Name][from.SecretKeyRef.Key]), true, from.SecretKeyRef.Name}
		case from.FieldRef != nil:
			all[variable.Name] = setting{value: "the pod's " + from.FieldRef.FieldPath}
		}
	}
	return all
}

// compare lays what is deployed beside what would be. Where a variable is in
// both, it is the deployed one that is told.
func compare(deployed, next map[string]setting, from func(name string, s setting) string, key string) []Variable {
	var all []Variable
	for _, name := range slices.Sorted(maps.Keys(union(deployed, next))) {
		s, there := deployed[name]
		then, stays := next[name]
		v := Variable{Name: name}
		switch {
		case !there:
			s, v.Now = then, Added
		case !stays:
			v.Now = Removed
		case s.value != then.value || s.secret != then.secret:
			v.Now = Changed
		}
		v.From, v.Secret = from(name, s), s.secret
		if s.secret {
			v.Checksum = shortSum(key, name, s.value)
		} else {
			v.Value = s.value
		}
		all = append(all, v)
	}
	return all
}

func union(a, b map[string]setting) map[string]setting {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]setting{}
	}
	for name, s := range b {
		if _, there := all[name]; !there {
			all[name] = s
		}
	}
	return all
}

// shortSum tells two values of a secret apart. The key is secret itself, so
// that nobody can try values against it; the name keeps equal values of two
// secrets from being recognised as such.
func shortSum(key, name, value string) string {
	sum := hmac.New(sha256.New, []byte(key))
	sum.Write([]byte(strings.Join([]string{name, value}, "\x00")))
	return hex.EncodeToString(sum.Sum(nil))[:8]
}

// undollared takes back that Kubernetes reads two dollars as one; references
// stay as they are.
func undollared(value string) string { return strings.ReplaceAll(value, "$$", "$") }

// serving is the revision that serves, or nil.
func serving(past []*helmrelease.Release) *helmrelease.Release {
	for _, r := range slices.Backward(past) {
		if r.Info.Status == common.StatusDeployed {
			return r
		}
	}
	return nil
}

// secretsBeside are the Secrets of an environment as they are and as a deploy
// would make them, by name.
type secretsBeside struct {
	now, next map[string]map[string][]byte
	// names are what a deploy would tell the chart.
	names secretNames
	// salt is of the application's own Secret. Only those may read it who may
	// read the values.
	salt string
}

func (c *Client) secretsBeside(ctx context.Context, environment string, e config.Environment) (*secretsBeside, error) {
	list, err := c.kube.CoreV1().Secrets(environment).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + c.config.Name})
	if err != nil {
		return nil, fmt.Errorf("read the Secrets of %s: %w", environment, err)
	}
	s := &secretsBeside{now: map[string]map[string][]byte{}, names: c.secretNames(environment, e)}
	var own *core.Secret
	for i, secret := range list.Items {
		s.now[secret.Name] = secret.Data
		if secret.Name == c.config.Name+"-env" {
			own, s.salt = &list.Items[i], secret.Annotations[saltAnnotation]
		}
	}
	if _, there := s.now[c.pullName()]; there && c.cluster.PullLogins != nil {
		s.names.pull = c.pullName()
	}
	s.next = maps.Clone(s.now)
	if s.names.env != "" {
		data, _, err := envData(c.config, environment, own, c.cluster.MakesUpSecrets)
		if err != nil {
			return nil, err
		}
		s.next[s.names.env], s.names.checksum = data, checksum(s.salt, data)
	}
	return s, nil
}

// from says who gives a variable.
func (c *Client) from(environment, name string, s setting) string {
	app := c.config.Name
	switch {
	case s.of == app+"-env":
		if own := config.OwnSecret(environment, name); has(c.config.DotEnv, own) {
			return ".env, " + own
		}
		if has(c.config.DotEnv, name) {
			return ".env"
		}
		return "the cluster, as .env has none"
	case s.of == app+"-postgresql":
		return "database"
	case s.of != "":
		return "service " + strings.TrimPrefix(s.of, app+"-")
	}
	if has(c.config.EnvOf(environment), name) {
		return config.File
	}
	return cmp.Or(c.config.Given(environment)[name], "berth")
}

// containerOf finds the container of a process in a manifest, or nil.
func containerOf(manifest, app, process string) (*core.Container, error) {
	name := app
	if process != "" && process != "web" {
		name += "-" + process
	}
	for document := range strings.SplitSeq("\n"+manifest, "\n---") {
		var object struct {
			Kind     string            `json:"kind"`
			Metadata metav1.ObjectMeta `json:"metadata"`
			Spec     struct {
				Template    core.PodTemplateSpec `json:"template"`
				JobTemplate struct {
					Spec struct {
						Template core.PodTemplateSpec `json:"template"`
					} `json:"spec"`
				} `json:"jobTemplate"`
			} `json:"spec"`
		}
		if !strings.Contains(document, "kind: Deployment") && !strings.Contains(document, "kind: CronJob") {
			continue
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			return nil, fmt.Errorf("read the release's manifest: %w", err)
		}
		if object.Metadata.Name != name {
			continue
		}
		for _, containers := range [][]core.Container{object.Spec.Template.Spec.Containers, object.Spec.JobTemplate.Spec.Template.Spec.Containers} {
			if len(containers) > 0 {
				return &containers[0], nil
			}
		}
	}
	return nil, nil
}

func has(variables map[string]string, name string) bool {
	_, there := variables[name]
	return there
}
