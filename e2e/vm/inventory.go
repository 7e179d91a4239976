package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

//go:embed look.sh
var lookScript string

// inventory is all of a machine's state that a cluster could change: how often
// each line of look.sh comes.
type inventory map[string]int

func (g *guest) look(ctx context.Context) (inventory, error) {
	var said bytes.Buffer
	if err := g.feed(ctx, "sudo bash -s", strings.NewReader(lookScript), &said); err != nil {
		return nil, err
	}
	all := read(said.String())
	fmt.Printf("%d things\n", len(all))
	return all, nil
}

func read(text string) inventory {
	all := inventory{}
	for line := range strings.Lines(text) {
		all[strings.TrimSpace(line)]++
	}
	return all
}

// packages are the names of those that were not there before.
func (before inventory) packages(after inventory) []string {
	var names []string
	for _, change := range before.changes(after) {
		if rest, new := strings.CutPrefix(change, "new: package "); new {
			name, _, _ := strings.Cut(rest, " ")
			names = append(names, name)
		}
	}
	return names
}

// stays is what berth leaves and says so, and what the system does by itself.
var stays = []*regexp.Regexp{
	// A module that was loaded stays until the next boot, and brings settings.
	regexp.MustCompile(`^new: sysctl net\.(netfilter|nf_conntrack_max|bridge|ipv4\.vs)`),
	// systemd starts services of its own when they are asked something, and ends
	// them when nobody does.
	regexp.MustCompile(`^(new|gone): (process|cgroup) .*systemd-(hostnamed|timedated|localed|logind|tmpfiles-clean|timesyncd)`),
	// It keeps as many of these as there was to do of late.
	regexp.MustCompile(`^(new|gone): process .*\(udev-worker\)$`),
	// It mounts this when Python's package or a look at the settings asks for it.
	regexp.MustCompile(`^new: (mount|cgroup) \S*binfmt_misc`),
}

// compare is an error when something became different that has to stay as it
// was. Every difference is printed.
func (before inventory) compare(after inventory) error {
	var left []string
	for _, change := range before.changes(after) {
		if slices.ContainsFunc(stays, func(r *regexp.Regexp) bool { return r.MatchString(change) }) {
			fmt.Println("stays:", change)
			continue
		}
		fmt.Println(change)
		left = append(left, change)
	}
	if len(left) > 0 {
		return fmt.Errorf("%d things are not as they were", len(left))
	}
	return nil
}

func (before inventory) changes(after inventory) []string {
	var all []string
	for line, n := range after {
		if n > before[line] {
			all = append(all, "new: "+line)
		}
	}
	for line, n := range before {
		if n > after[line] {
			all = append(all, "gone: "+line)
		}
	}
	slices.Sort(all)
	return all
}
