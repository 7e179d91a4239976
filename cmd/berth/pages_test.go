package main

import (
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"berth/internal/kube"
	"berth/internal/overview"
	"berth/internal/platform"
	"berth/internal/release"
)

// docs/commands.md has every command by its usage line, and says something of each of
// its flags.
func TestThePageOfCommandsHasTheirUsage(t *testing.T) {
	page, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	// Some commands stand in a list below their parent.
	usage := regexp.MustCompile("(?m)^(?:###|-) `(berth [^`]+)`")
	sections := map[string]string{}
	found := usage.FindAllSubmatchIndex(page, -1)
	for i, at := range found {
		end := len(page)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		sections[string(page[at[2]:at[3]])] = string(page[at[0]:end])
	}
	for _, command := range commands((&app{}).rootCommand()) {
		section, ok := sections[command.UseLine()]
		if !ok {
			t.Errorf("docs/commands.md has no line for %s", command.UseLine())
			continue
		}
		delete(sections, command.UseLine())
		command.Flags().VisitAll(func(f *pflag.Flag) {
			// Those of all subcommands of backup are said once.
			if f.Name == "help" || f.Name == "env" || command.InheritedFlags().Lookup(f.Name) != nil {
				return
			}
			if !said(section, f) {
				t.Errorf("docs/commands.md does not say what --%s of %s does", f.Name, command.CommandPath())
			}
		})
	}
	for line := range sections {
		t.Errorf("docs/commands.md has %s, which no command says of itself", line)
	}
}

// docs/commands.md has every key of berth status --json.
func TestThePageOfCommandsHasTheKeysOfStatus(t *testing.T) {
	page, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "### `berth status")
	section, _, _ = strings.Cut(section, "\n### ")
	for _, of := range []any{overview.Report{}, overview.Node{}, overview.Backup{}, overview.LastBackup{}, overview.Stream{}, overview.Logs{}, overview.Metrics{}, overview.Alerts{},
		overview.Environment{}, release.Status{}, platform.AgentStatus{}, platform.SinkStatus{}, platform.MetricsStatus{}, kube.Usage{}} {
		for field := range fields(reflect.TypeOf(of)) {
			if !regexp.MustCompile("`" + field + `(\[\]|\{\})?` + "`").MatchString(section) {
				t.Errorf("docs/commands.md does not have %s of %T", field, of)
			}
		}
	}
}

// fields are the keys of a struct as JSON, without those of embedded ones.
func fields(of reflect.Type) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range of.NumField() {
			if name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ","); name != "" && name != "-" && !yield(name) {
				return
			}
		}
	}
}

// What the pages show as a command line is one: the command exists, and takes the flags.
func TestThePagesCallCommandsThatExist(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`berth ([^`\n]+)`")
	typed := regexp.MustCompile(`(?m)^ *(?:sudo )?(?:bin/)?berth (.+)`)
	prompted := regexp.MustCompile(`(?m)^ *\$ (?:sudo )?(?:bin/)?berth (.+)`)
	values := strings.NewReplacer("--at TIME", "--at 5m", "--nodes N", "--nodes 3", "COMMAND --help", "version")
	found := 0
	for _, file := range append(files, "../../README.md", "../../CONTRIBUTING.md", "../../SECURITY.md") {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var lines [][]string
		for i, part := range strings.Split(string(page), "```") {
			switch {
			case i%2 == 0:
				lines = append(lines, quoted.FindAllStringSubmatch(part, -1)...)
			case strings.Contains(part, "$ "):
				lines = append(lines, prompted.FindAllStringSubmatch(part, -1)...)
			default:
				lines = append(lines, typed.FindAllStringSubmatch(part, -1)...)
			}
		}
		for _, line := range lines {
			args := strings.Fields(values.Replace(line[1]))
			// What comes behind is the shell's, a comment, or another program's.
			if end := slices.IndexFunc(args, func(arg string) bool { return strings.ContainsAny(arg[:1], "#|<>&") || arg == "--" }); end >= 0 {
				args = args[:end]
			}
			if len(args) == 0 || strings.ContainsAny(line[1], "[…") || strings.Contains(line[1], " | ") {
				continue // a usage line, which has a test of its own, or one that is cut
			}
			found++
			command, rest, err := (&app{}).rootCommand().Find(args)
			if err == nil {
				err = command.ParseFlags(rest)
			}
			if err != nil {
				t.Errorf("%s: berth %s: %v", filepath.Base(file), line[1], err)
			}
		}
	}
	if found < 100 {
		t.Errorf("there are only %d calls", found)
	}
}

// said reports whether a text has a flag, by its name or its letter.
func said(text string, f *pflag.Flag) bool {
	forms := "--" + f.Name
	if f.Shorthand != "" {
		forms += "|-" + f.Shorthand
	}
	return regexp.MustCompile(`[^\w-](` + forms + `)\b`).MatchString(text)
}

// commands are those below one that people run.
func commands(of *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, one := range of.Commands() {
		if one.Hidden {
			continue
		}
		// What only holds others is backup and database.
		if one.Name() != "backup" && one.Name() != "database" {
			all = append(all, one)
		}
		all = append(all, commands(one)...)
	}
	return all
}
