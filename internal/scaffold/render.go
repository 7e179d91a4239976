package scaffold

import (
	"bytes"

	"go.yaml.in/yaml/v3"
)

// YAML returns the berth.yaml of the draft, with what a newcomer has to know
// beside the keys.
func (d *Draft) YAML() []byte {
	var w writer
	w.comment("What berth runs: the application, and the environments it runs in.",
		"docs/configuration.md explains every key; values of secrets belong in .env.")
	w.gap()
	w.keys(pair{"name", d.Name})
	w.gap()
	d.image(&w)
	d.web(&w)
	d.variables(&w)
	d.work(&w)
	d.data(&w)
	d.environments(&w)
	return w.Bytes()
}

func (d *Draft) image(w *writer) {
	if d.Image != "" {
		w.keys(pair{"image", d.Image})
		w.gap()
		return
	}
	w.keys(pair{"dockerfile", d.Dockerfile})
	if d.Context != "." {
		w.keys(pair{"context", d.Context})
	}
	var build mapping
	if len(d.Args) > 0 {
		build = append(build, pair{"args", d.Args})
	}
	if len(d.BuildSecrets) > 0 {
		build = append(build, pair{"secrets", d.BuildSecrets})
	}
	if d.Target != "" {
		build = append(build, pair{"target", d.Target})
	}
	if d.Platform != "" {
		build = append(build, pair{"platform", d.Platform})
	}
	if len(build) > 0 {
		w.keys(pair{"build", build})
	}
	w.gap()
}

func (d *Draft) web(w *writer) {
	if !d.onlyWorks {
		if !d.Command.IsZero() {
			w.comment("Replaces the image's ENTRYPOINT and CMD.")
			w.keys(pair{"command", d.Command})
			w.gap()
		}
		w.comment("Where the application listens in its container; it finds the number in PORT.")
		if d.GuessedPort {
			w.comment("No file says so: 8000 is a guess.")
		}
		w.keys(pair{"port", d.Port})
		w.comment("The path that answers 200 to 399 when the application can serve.")
		health := d.Health
		fill(&health, "/")
		w.keys(pair{"health", health})
		w.gap()
	}
	var resources mapping
	if d.CPU != "" {
		resources = append(resources, pair{"cpu", d.CPU})
	}
	if d.Memory != "" {
		resources = append(resources, pair{"memory", d.Memory})
	}
	before := w.Len()
	if len(resources) > 0 {
		w.keys(pair{"resources", resources})
	}
	if d.User != "" {
		w.keys(pair{"user", d.User})
	}
	if len(d.Writable) > 0 {
		w.keys(pair{"writable", d.Writable})
	}
	if w.Len() > before {
		w.gap()
	}
}

func (d *Draft) variables(w *writer) {
	if len(d.Env) > 0 {
		w.keys(pair{"env", d.Env})
		w.gap()
	}
	if len(d.References) > 0 {
		w.comment("Variables that are made of others.")
		w.keys(pair{"references", d.References})
		w.gap()
	}
	if len(d.Secrets) > 0 {
		w.comment("Entries of .env that the application gets as environment variables.")
		w.keys(pair{"secrets", d.Secrets})
		w.gap()
	}
}

func (d *Draft) work(w *writer) {
	if !d.Release.IsZero() {
		w.comment("Runs once for each release, before any of its pods starts.")
		w.keys(pair{"release", mapping{{"command", d.Release}}})
		w.gap()
	}
	if len(d.Processes) == 0 {
		return
	}
	var processes mapping
	for _, name := range sorted(d.Processes) {
		p := d.Processes[name]
		process := mapping{{"command", p.Command}}
		if p.Replicas != 1 {
			process = append(process, pair{"replicas", p.Replicas})
		}
		if len(p.Env) > 0 {
			process = append(process, pair{"env", p.Env})
		}
		processes = append(processes, pair{name, process})
	}
	if d.onlyWorks {
		w.comment("What runs; with a schedule (\"0 3 * * *\"), as a cron job. There is no web process:",
			"a port would make one, and environments would need hosts.")
	} else {
		w.comment("What runs beside the web process; with a schedule (\"0 3 * * *\"), as a cron job.")
	}
	w.keys(pair{"processes", processes})
	w.gap()
}

func (d *Draft) data(w *writer) {
	if len(d.Volumes) > 0 {
		var volumes mapping
		for _, name := range sorted(d.Volumes) {
			volumes = append(volumes, pair{name, mapping{{"path", d.Volumes[name]}, {"size", "1Gi"}}})
		}
		w.comment("Folders whose files outlive the pods, in each environment its own.")
		w.keys(pair{"volumes", volumes})
		w.gap()
	}
	if len(d.Services) > 0 {
		w.comment("Valkey speaks Redis' protocol; the application finds it in REDIS_URL.")
		w.keys(pair{"services", d.Services})
		w.gap()
	}
}

func (d *Draft) environments(w *writer) {
	w.comment("Each environment is a namespace of its name. They are deployed in this order.")
	if !d.onlyWorks {
		w.comment("Names below localhost mean this machine; elsewhere use your own.")
	}
	switch d.Database {
	case "":
		w.comment("database: postgres or sqlite gives one to each; its address is in DATABASE_URL.")
	default:
		w.comment("The database is each environment's own; its address is in DATABASE_URL.")
	}
	production := d.Replicas
	if production == 0 {
		production = 2
		// What writes files may not be made for two writers.
		if d.Database == "sqlite" || len(d.Volumes) > 0 {
			production = 1
		}
	}
	w.keys(pair{"environments", mapping{
		{"staging", d.environment("staging."+d.Name+".localhost", 1)},
		{"production", d.environment(d.Name+".localhost", production)},
	}})
}

func (d *Draft) environment(host string, replicas int) mapping {
	e := mapping{}
	if !d.onlyWorks {
		e = append(e, pair{"hosts", []string{host}})
	}
	if d.Database != "" {
		e = append(e, pair{"database", d.Database})
	}
	if !d.onlyWorks && replicas != 1 {
		e = append(e, pair{"replicas", replicas})
	}
	if len(d.HostVariables) > 0 {
		env := map[string]string{}
		for _, name := range d.HostVariables {
			env[name] = host
		}
		e = append(e, pair{"env", env})
	}
	return e
}

// writer puts keys and comments together. Every value is written by the YAML
// encoder: none can end its line.
type writer struct{ bytes.Buffer }

func (w *writer) comment(lines ...string) {
	for _, line := range lines {
		w.WriteString("# " + line + "\n")
	}
}

func (w *writer) gap() { w.WriteString("\n") }

func (w *writer) keys(pairs ...pair) {
	encoder := yaml.NewEncoder(&w.Buffer)
	encoder.SetIndent(2)
	if err := encoder.Encode(node(mapping(pairs))); err != nil {
		panic(err) // of nodes made here alone
	}
	encoder.Close()
}

// mapping is one whose keys keep their order.
type mapping []pair

type pair struct {
	key   string
	value any
}

// node makes YAML of what a draft is made of.
func node(value any) *yaml.Node {
	switch value := value.(type) {
	case mapping:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, p := range value {
			n.Content = append(n.Content, node(p.key), node(p.value))
		}
		if len(value) == 0 {
			n.Style = yaml.FlowStyle
		}
		return n
	case map[string]string:
		var m mapping
		for _, name := range sorted(value) {
			m = append(m, pair{name, value[name]})
		}
		return node(m)
	case []string:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range value {
			n.Content = append(n.Content, node(item))
		}
		return n
	case Command:
		if len(value.List) == 0 {
			return node(value.Text)
		}
		n := node(value.List)
		n.Style = yaml.FlowStyle
		for _, item := range n.Content {
			item.Style = yaml.DoubleQuotedStyle
		}
		return n
	default:
		n := new(yaml.Node)
		if err := n.Encode(value); err != nil {
			panic(err) // of texts and numbers alone
		}
		return n
	}
}
