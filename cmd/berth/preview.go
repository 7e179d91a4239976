package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/dashboard"
	"berth/internal/fault"
	"berth/internal/git"
	"berth/internal/preview"
	"berth/internal/provider"
	"berth/internal/session"
)

type previewOptions struct {
	branch, image string
	// skipUnset does nothing where there are no credentials.
	skipUnset, json, noBrowser bool
}

func (a *app) previewCommand() *cobra.Command {
	var o previewOptions
	of := func(args []string) previewOptions {
		if len(args) > 0 {
			o.branch = args[0]
		}
		return o
	}
	command := &cobra.Command{
		Use:   "preview [BRANCH] [--image REF] [--skip-unconfigured] [--json]",
		Short: "Make a temporary environment for a branch, with its own data",
		Long: `Make or update a temporary environment for BRANCH, or for the current branch. It has
this folder's image, and its own host, secrets and database with the data that
previews.data names. previews in berth.yaml describes it. After previews.expire the
cluster removes it, whether or not berth runs again.

Other commands take BRANCH as ENV: berth status, metrics, logs, run, exec, psql,
forward, restart, history, rollback and config.`,
		Args:              arguments(1, "BRANCH"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, args []string) error {
			return a.preview(command.Context(), of(args))
		},
	}
	command.Flags().StringVar(&o.image, "image", "", "release this image instead of building one")
	command.Flags().BoolVar(&o.json, "json", false, "write the preview as JSON")
	const skip = "do nothing, and say so, if there are no credentials or the cluster is this machine's"
	command.Flags().BoolVar(&o.skipUnset, "skip-unconfigured", false, skip)
	list := &cobra.Command{
		Use: "list [--json]", Short: "List the previews, and when they expire", Args: arguments(0),
		RunE: func(command *cobra.Command, _ []string) error { return a.previewList(command.Context(), o) },
	}
	list.Flags().BoolVar(&o.json, "json", false, "write them as JSON")
	open := &cobra.Command{
		Use: "open [BRANCH] [--no-browser]", Short: "Print the address of a preview, and open it in the browser", Args: arguments(1, "BRANCH"),
		RunE: func(command *cobra.Command, args []string) error { return a.previewOpen(command.Context(), of(args)) },
	}
	open.Flags().BoolVar(&o.noBrowser, "no-browser", false, "print the address and do not open a browser")
	logs := &cobra.Command{
		Use: "logs [BRANCH] [-f]", Short: "Print the logs of a preview's pods", Args: arguments(1, "BRANCH"),
	}
	follow := logs.Flags().BoolP("follow", "f", false, "follow new lines until interrupted")
	logs.RunE = func(command *cobra.Command, args []string) error {
		branch, err := a.branch(command.Context(), of(args).branch)
		if err != nil {
			return err
		}
		return a.logs(command.Context(), logsOptions{environment: branch, follow: *follow})
	}
	remove := &cobra.Command{
		Use: "remove [BRANCH] [--skip-unconfigured]", Short: "Remove a preview with its data", Args: arguments(1, "BRANCH"),
		RunE: func(command *cobra.Command, args []string) error { return a.previewRemove(command.Context(), of(args)) },
	}
	remove.Flags().BoolVar(&o.skipUnset, "skip-unconfigured", false, skip)
	for _, sub := range []*cobra.Command{list, open, logs, remove} {
		sub.DisableFlagsInUseLine = true
		command.AddCommand(sub)
	}
	return command
}

func (a *app) preview(ctx context.Context, o previewOptions) error {
	branch, err := a.branch(ctx, o.branch)
	if err != nil {
		return err
	}
	if skipped, err := a.previewSkipped(branch, o); skipped || err != nil {
		return err
	}
	c, p, cluster, found, err := a.openPreviews(ctx)
	if err != nil {
		return err
	}
	commit, err := a.previewCommit(ctx, c, branch, o.image)
	if err != nil {
		return err
	}
	if err := found.Admit(ctx, branch); err != nil {
		return err
	}
	if err := a.serviceImages(ctx, c, p, cluster); err != nil {
		return err
	}
	if err := a.databaseImages(ctx, c, p, cluster, c.Previews.From); err != nil {
		return err
	}
	// Services were looked for since the previews were opened.
	if found, err = a.parts.previews(cluster, c); err != nil {
		return err
	}
	wanted := preview.Wanted{Branch: branch, Commit: commit, Image: o.image, Backup: func(ctx context.Context) (*backup.Entry, error) {
		archive, err := a.archiveOf(ctx, c, p, c.Previews.From)
		if err != nil {
			return nil, err
		}
		return archive.Find(ctx, "")
	}}
	if wanted.Expirer, err = a.platformImage(ctx, c, p, "watch"); err != nil {
		return err
	}
	if wanted.Image == "" {
		if wanted.Image, err = a.image(ctx, c, p); err != nil {
			return err
		}
	}
	if len(c.Previews.Seed) > 0 {
		wanted.Seed = func(ctx context.Context, p *preview.Preview) error {
			sessions, err := a.parts.sessions(cluster, c.Name, p.Environment)
			if err != nil {
				return err
			}
			seed := session.Command{Args: c.Previews.Seed, Limit: time.Hour}
			return sessions.Run(ctx, seed, session.Streams{Out: a.streams.Err, Err: a.streams.Err}, a.console.Reporter())
		}
	}
	made, revision, err := found.Make(ctx, wanted, a.console.Reporter())
	if err != nil {
		return a.printRevision(revision, err, branch, "", o.json)
	}
	a.prune(ctx, p, cluster)
	seen := shownPreview{*made, cluster.URL(made.Host), revision.Number, true}
	if o.json {
		return a.console.JSON(seen)
	}
	return a.console.Print("%s serves revision %d until %s: %s", branch, revision.Number, made.Expires.Local().Format(time.DateTime), seen.Address)
}

// branch returns the branch that is meant: the current one unless another is named.
func (a *app) branch(ctx context.Context, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	c, err := a.load("")
	if err != nil {
		return "", err
	}
	current, err := git.Branch(ctx, c.Dir)
	if err == nil && current == "" {
		err = fault.WithHint(fault.Usage("the folder of berth.yaml is not on a branch of a repository"), "name one: berth preview BRANCH")
	}
	return current, err
}

// previewSkipped says that nothing is done, where --skip-unconfigured says so.
func (a *app) previewSkipped(branch string, o previewOptions) (bool, error) {
	if !o.skipUnset {
		return false, nil
	}
	c, err := a.load("")
	if err != nil {
		return false, err
	}
	why := a.unconfigured(c)
	if why == "" {
		return false, nil
	}
	if o.json {
		return true, a.console.JSON(map[string]string{"skipped": why})
	}
	return true, a.console.Print("Skipped: the preview of %s: %s.", branch, why)
}

// previewCommit is what the folder is at, which must be the branch's: the image is built
// from what is there.
func (a *app) previewCommit(ctx context.Context, c *config.Config, branch, image string) (string, error) {
	head, err := git.Head(ctx, c.Dir)
	if err != nil || image != "" {
		return head.Hash, err
	}
	tip, err := git.Tip(ctx, c.Dir, branch)
	if err == nil && tip != "" && tip != head.Hash {
		err = fault.WithHint(fault.Usage("the folder is at commit %.10s, and the branch %s at %.10s", head.Hash, branch, tip),
			"git switch %s, or give its image: --image REF", branch)
	}
	return head.Hash, err
}

// shownPreview is a preview as people and programs see it.
type shownPreview struct {
	preview.Preview
	Address string `json:"address"`
	// Revision is what is deployed; 0 is nothing.
	Revision int  `json:"revision"`
	Serving  bool `json:"serving"`
}

func (a *app) previewList(ctx context.Context, o previewOptions) error {
	c, _, cluster, found, err := a.openPreviews(ctx)
	if err != nil {
		return err
	}
	all, err := found.List(ctx)
	if err != nil {
		return err
	}
	shown := []shownPreview{}
	for _, p := range all {
		one := shownPreview{Preview: p, Address: cluster.URL(p.Host)}
		if !p.Going {
			releases, err := a.parts.releases(cluster, c.Preview(p.Environment, p.Host))
			if err != nil {
				return err
			}
			status, err := releases.Status(ctx, p.Environment)
			if err != nil {
				return err
			}
			one.Serving = status.Serving
			if status.Deployed {
				one.Revision = status.Revision.Number
			}
		}
		shown = append(shown, one)
	}
	if o.json {
		return a.console.JSON(shown)
	}
	if len(shown) == 0 {
		return a.console.Print("There are no previews.")
	}
	var rows [][]string
	for _, p := range shown {
		state := p.Data
		switch {
		case p.Going:
			state = "being removed"
		case state == "":
			state = "not there yet"
		case state != string(config.EmptyData):
			state = "copy of " + state
		}
		rows = append(rows, []string{mark(p.Serving), p.Branch, p.Address, fmt.Sprintf("%.10s", p.Commit), state, p.Who, p.Expires.Local().Format(time.DateTime), p.Environment})
	}
	a.console.Table([]string{" ", "BRANCH", "ADDRESS", "COMMIT", "DATA", "WHO", "EXPIRES", "ENVIRONMENT"}, rows)
	return nil
}

func (a *app) previewOpen(ctx context.Context, o previewOptions) error {
	branch, err := a.branch(ctx, o.branch)
	if err != nil {
		return err
	}
	_, _, cluster, found, err := a.openPreviews(ctx)
	if err != nil {
		return err
	}
	p, err := found.Find(ctx, branch)
	if err == nil && p == nil {
		err = fault.WithHint(fault.Usage("there is no preview of %q", branch), "berth preview list")
	}
	if err != nil {
		return err
	}
	address := cluster.URL(p.Host)
	if err := a.console.Print("%s", address); err != nil || o.noBrowser || !a.console.Interactive {
		return err
	}
	// The browser may read the page that leads there after this ends: it is small, and in
	// a temporary folder.
	if _, err := dashboard.Open(address, a.environ); err != nil {
		a.console.Reporter().Note("no browser was opened: " + err.Error())
	}
	return nil
}

func (a *app) previewRemove(ctx context.Context, o previewOptions) error {
	branch, err := a.branch(ctx, o.branch)
	if err != nil {
		return err
	}
	if skipped, err := a.previewSkipped(branch, o); skipped || err != nil {
		return err
	}
	_, _, _, found, err := a.openPreviews(ctx)
	if err != nil {
		return err
	}
	p, err := found.Find(ctx, branch)
	if err != nil {
		return err
	}
	if p == nil {
		return a.console.Print("There is no preview of %s.", branch)
	}
	if err := found.Remove(ctx, p, a.console.Reporter()); err != nil {
		return err
	}
	return a.console.Print("The preview of %s is gone, with its data.", p.Branch)
}

// removePreviews removes all of them, without waiting for their time.
func (a *app) removePreviews(ctx context.Context, c *config.Config, cluster *provider.Cluster) error {
	if !c.Previews.Enabled() {
		return nil
	}
	found, err := a.parts.previews(cluster, c)
	if err != nil {
		return err
	}
	all, err := found.List(ctx)
	if err != nil {
		return err
	}
	for _, p := range all {
		if err := found.Remove(ctx, &p, a.console.Reporter()); err != nil {
			return err
		}
	}
	return nil
}
