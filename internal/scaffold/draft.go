package scaffold

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
)

// Draft is what the files of a folder say about an application.
type Draft struct {
	folder
	Name string

	// Dockerfile and Context are relative to the folder. Image is set instead
	// of them where nothing is built.
	Dockerfile, Context, Image string
	Args                       map[string]string
	BuildSecrets               []string
	Target, Platform           string

	// Port of the web process; 0 where there is none. GuessedPort says that no
	// file names it.
	Port        int
	GuessedPort bool
	Command     Command
	Health      string
	User        string
	CPU, Memory string
	Writable    []string

	Env        map[string]string
	References map[string]string
	Secrets    []string
	// HostVariables are variables that hold an environment's hosts.
	HostVariables []string

	Release   Command
	Processes map[string]Process
	// Volumes are paths by name.
	Volumes map[string]string
	// Services are kinds by name.
	Services map[string]string
	// Database is empty for none.
	Database string
	// Replicas in production, where a file says how many.
	Replicas int

	// Sources are the files that something was taken from, Notes what could not
	// be, and what is for the owner to do.
	Sources []string
	Notes   []Note

	// peers are the services of compose.yaml by name: true for those that run the
	// application's image.
	peers map[string]bool
	// stores are those of them that berth runs by itself: postgres or valkey by the
	// service's name. It is nil without compose.yaml.
	stores map[string]string
	// docker is what the Dockerfile says of the image, for the other readers.
	docker dockerfile
	// onlyWorks is set by a file that knows of no web process.
	onlyWorks bool
	// procfile is set where a Procfile says what runs.
	procfile bool
	// healthPort is the one that the health check asks, which healthFile has.
	healthPort int
	healthFile string
	// otherTarget says that compose.yaml builds a stage for development.
	otherTarget bool
	// envPort is what a file sets PORT to.
	envPort int
	// local are variables that lead to the developer's own machine.
	local []string
	// fromEnv are the names of .env itself.
	fromEnv []string
}

// Process is a worker.
type Process struct {
	Command  Command
	Replicas int
	Env      map[string]string
}

// Note is one thing that the owner should know of a file.
type Note struct{ File, Text string }

func (n Note) String() string { return n.File + ": " + n.Text }

func (d *Draft) note(file, format string, arguments ...any) {
	n := Note{file, fmt.Sprintf(format, arguments...)}
	if !slices.Contains(d.Notes, n) {
		d.Notes = append(d.Notes, n)
	}
}

// addVolume adds a volume for a path, named after it unless another one is.
func (d *Draft) addVolume(name, at string) string {
	for known, path := range d.Volumes {
		if path == at {
			return known
		}
	}
	name = label(name, 20)
	fill(&name, "files")
	unique := name
	for i := 2; d.Volumes[unique] != ""; i++ {
		unique = name + "-" + strconv.Itoa(i)
	}
	d.Volumes[unique] = at
	return unique
}

// addService gives the application a Valkey of its own.
func (d *Draft) addService(name string) string {
	name = label(name, 20)
	fill(&name, "cache")
	if len(d.Services) > 0 {
		return slices.Min(slices.Collect(maps.Keys(d.Services)))
	}
	d.Services[name] = "valkey"
	return name
}

// readFile reads a file that says more of the application; none is an empty one.
func (d *Draft) readFile(name string) string {
	name = d.inContext(name)
	if !d.exists(name) {
		return ""
	}
	if info, err := os.Stat(filepath.Join(d.dir, name)); err != nil || info.Size() > maxFile {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		return ""
	}
	return string(text)
}

// inContext is a file of the folder that is built from, or of this one.
func (d *Draft) inContext(name string) string {
	if below := path.Join(d.Context, name); d.Context != "" && d.exists(below) {
		return below
	}
	return name
}

// sorted returns the names in a mapping, in the order in which they are written.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func hasKey[V any](m map[string]V, key string) bool { _, ok := m[key]; return ok }

// fill sets what no earlier reader has set.
func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
