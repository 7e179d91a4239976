package scaffold

import (
	"regexp"
	"strings"
)

// procfileLine is what Heroku and foreman read; they ignore other lines.
var procfileLine = regexp.MustCompile(`^([A-Za-z0-9_-]+):\s*(\S.*)$`)

func (d *Draft) readProcfile() error {
	name, text, err := d.source("Procfile")
	if err != nil || name == "" {
		return err
	}
	web := false
	var before []string
	otherwise := ""
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		line = strings.TrimSpace(line)
		found := procfileLine.FindStringSubmatch(line)
		if found == nil {
			if line != "" && line[0] != '#' {
				d.note(name, "a line is not of the form NAME: COMMAND: %.60q", line)
			}
			continue
		}
		process, command := found[1], Command{Text: strings.TrimSpace(found[2])}
		switch process {
		case "web":
			web = true
			d.Command = command
		case "release":
			d.Release = command
		default:
			if oneOff.MatchString(process) {
				d.note(name, "process %s is left out: it is run by hand, with berth run ENV -- %s", process, command.Text)
				continue
			}
			if releaseName.MatchString(process) || process == "postdeploy" {
				before = append(before, process)
				fill(&otherwise, command.Text)
				continue
			}
			d.Processes[process] = Process{Command: command, Replicas: 1}
		}
	}
	if len(before) > 0 && d.Release.IsZero() {
		d.Release, before = Command{Text: otherwise}, before[1:]
	}
	if len(before) > 0 {
		d.note(name, "process %s is left out: a release has one command, which runs before its pods start", strings.Join(before, ", "))
	}
	if !web && d.Release.IsZero() && len(d.Processes) == 0 {
		return nil
	}
	d.procfile, d.onlyWorks = true, !web && len(d.Processes) > 0
	d.Sources = append(d.Sources, name)
	return nil
}

// oneOff are processes that end, and so are no workers.
var oneOff = regexp.MustCompile(`^(console|shell|sh|bash|rake|rails|repl|iex|tinker|psql|dbconsole|seed|runner|manage|cmd)$`)
