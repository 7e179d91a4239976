// Command release makes a release of berth: it builds all that `berth up` would
// otherwise compile and build on each machine, for every platform, and berth
// itself, and pushes that to an OCI registry with SBOMs, provenance and a
// signature. `make release` calls it; docs/releasing.md says how a release
// looks.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"oras.land/oras-go/v2/registry"

	"berth/internal/compile"
	"berth/internal/config"
	"berth/internal/console"
	"berth/internal/fault"
	"berth/internal/git"
	"berth/internal/prebuilt"
	"berth/internal/program"
	"berth/internal/provider"
	"berth/internal/provider/local"
	"berth/internal/publish"
	"berth/internal/source"
	"berth/internal/sudo"
)

func main() {
	err := os.Setenv("PATH", program.Path(os.Environ()))
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		if hint := fault.Hint(err); hint != "" {
			fmt.Fprintln(os.Stderr, "hint:", hint)
		}
		os.Exit(1)
	}
}

var versionForm = regexp.MustCompile(`^v[0-9][A-Za-z0-9._-]{0,100}$`)

func run(ctx context.Context, args []string) error {
	var m publish.Maker
	var keyFile, platforms string
	var native, dry bool
	flags := flag.NewFlagSet("release", flag.ExitOnError)
	flags.StringVar(&m.Repository, "repository", "", "where to push it: ghcr.io/me/berth")
	flags.StringVar(&m.Version, "version", "", "what to call it: v1.2.0")
	flags.StringVar(&keyFile, "key", "", "file of the ECDSA P-256 key to sign with, as PEM")
	flags.StringVar(&platforms, "platforms", "linux/amd64,linux/arm64", "what to build for")
	flags.StringVar(&m.Out, "out", "dist", "folder for what is built")
	flags.BoolVar(&native, "native-images", false, "leave out images whose build would need an emulator")
	flags.BoolVar(&dry, "dry-run", false, "build and sign everything, and push nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if parsed, err := registry.ParseReference(m.Repository); err != nil || parsed.Reference != "" || m.Repository != strings.ToLower(m.Repository) {
		return fault.WithHint(fault.Usage("%q is not a repository", m.Repository), "make release REGISTRY=ghcr.io/me VERSION=v1.2.0 KEY=release.key")
	}
	if !versionForm.MatchString(m.Version) {
		return fault.WithHint(fault.Usage("%q is no version", m.Version), "as in: make release VERSION=v1.2.0")
	}
	content, err := os.ReadFile(keyFile)
	if err == nil {
		m.Key, err = prebuilt.ParseKey(content)
	}
	if err != nil {
		return fault.WithHint(fmt.Errorf("read the key to sign with: %w", err),
			"make one by: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out release.key; name it by KEY=release.key")
	}
	if m.Root, err = source.Root(); err != nil {
		return err
	}
	if m.Out, err = filepath.Abs(m.Out); err != nil {
		return err
	}
	m.Epoch, _ = strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64) // none is 1970
	commit, err := git.Head(ctx, m.Root)
	if err != nil {
		return err
	}
	m.Commit = commit.Hash
	if commit.Dirty {
		m.Commit += "-dirty"
	}
	m.Platforms = strings.Split(platforms, ",")
	for _, platform := range m.Platforms {
		if system, arch, ok := strings.Cut(platform, "/"); !ok || system != "linux" || arch != "amd64" && arch != "arm64" {
			return fault.Usage("berth runs on linux/amd64 and linux/arm64, not on %q", platform)
		}
	}

	machine, err := local.New(&config.Config{Local: config.Local{Network: "10.118.0.0/16"}})
	if err != nil {
		return err
	}
	terminal := console.New(console.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Environ(), console.Options{})
	defer terminal.Close()
	if machine.NeedsRoot() { // the builder does
		return sudo.Restart(args, []string{"SOURCE_DATE_EPOCH", "DOCKER_CONFIG"}, os.Environ(), terminal.Interactive)
	}
	m.Reporter = terminal.Reporter()
	m.Export = func(ctx context.Context, b provider.Build, platform, folder string) error {
		return machine.Export(ctx, b, platform, m.Epoch, folder, m.Reporter)
	}
	list, err := whole(m.Root)
	if err != nil {
		return err
	}
	// What is missing is said before hours of compiling.
	m.Left = map[string]bool{}
	var problems []error
	for _, b := range list.Images {
		for _, platform := range m.Platforms {
			if err := local.Emulates(b, platform); err != nil {
				m.Left[b.Name+" "+platform] = true
				problems = append(problems, err)
			}
		}
	}
	if len(problems) > 0 && !native {
		return fault.WithHint(fmt.Errorf("not everything can be built here: %w", errors.Join(problems...)),
			"%s; or leave these images out by ARGS=--native-images: they are built where they are needed", fault.Hint(problems[0]))
	}
	for _, problem := range problems {
		m.Reporter.Note("left out: " + problem.Error())
	}
	m.Packed = filepath.Join(m.Out, "source.tar.zst")
	if err := packInto(m.Packed, m.Root); err != nil {
		return err
	}
	made, err := m.Make(ctx, list)
	if err != nil {
		return err
	}
	if !dry {
		if err := m.Push(ctx, made); err != nil {
			return err
		}
	}
	terminal.Print("berth %s\n  %s:%s\n  %s@%s\n  parts: %s@%s\n  key: %s", m.Version, m.Repository, m.Version,
		m.Repository, made.Release.Digest, m.Repository, made.Parts.Digest, filepath.Join(m.Out, "berth.pub"))
	for _, platform := range m.Platforms {
		terminal.Print("  %s", m.Binary("berth", platform))
	}
	return nil
}

// whole is all that a cluster of berth's runs, and berth itself.
func whole(root string) (publish.List, error) {
	kubernetes, err := compile.Kubernetes(root)
	return publish.List{
		Programs: append([]compile.Program{kubernetes}, compile.BuildKit(root)...),
		Images:   local.PlatformImages(root),
		Command:  compile.Program{Part: prebuilt.Part{Name: "berth"}, Title: "berth", Module: root, Package: "./cmd/berth"},
	}, err
}

func packInto(file, root string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("make %s: %w", filepath.Dir(file), err)
	}
	archive, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("pack the source: %w", err)
	}
	defer archive.Close()
	if err := source.Pack(root, archive); err != nil {
		return fmt.Errorf("pack the source: %w", err)
	}
	return archive.Close()
}
