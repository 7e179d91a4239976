package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"berth/internal/fault"
	"berth/internal/progress"
)

// unpacked are the Debian packages whose programs berth runs out of its own
// cache. Installing them would start their services, and would remove the
// containerd that an installed Docker brings.
var unpacked = []string{"etcd-server", "containerd", "runc", "containernetworking-plugins"}

// installed are the Debian packages that have to be installed, with a program
// of each. None starts a service. The keyring is what Ubuntu does not have:
// without it nothing there trusts Debian's packages.
var installed = map[string]string{
	"nftables":               "nft",
	"mmdebstrap":             "mmdebstrap",
	"libseccomp2":            "",
	"debian-archive-keyring": "",
}

// debianKeyring is the file of the package debian-archive-keyring that holds
// the keys of Debian's releases.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// installPackages installs packages with apt-get, which says what it does.
func installPackages(ctx context.Context, l layout, names []string, step progress.Step) error {
	if err := recordPackages(l, names); err != nil {
		return err
	}
	step.Detail("apt-get install " + strings.Join(names, " "))
	arguments := append([]string{"install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"}, names...)
	err := aptGet(ctx, "", arguments...)
	if err != nil { // the lists of a fresh machine are empty or old
		step.Detail("apt-get update")
		if err := aptGet(ctx, "", "update"); err != nil {
			return err
		}
		err = aptGet(ctx, "", arguments...)
	}
	return err
}

// fetchPackages downloads and unpacks the unpacked packages into the cache. It
// downloads nothing when they are there.
func fetchPackages(ctx context.Context, l layout, step progress.Step) error {
	done := l.program(".complete")
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	if err := os.RemoveAll(l.packages()); err != nil {
		return fmt.Errorf("clear packages: %w", err)
	}
	if err := os.MkdirAll(l.program(""), 0o755); err != nil {
		return fmt.Errorf("make package folder: %w", err)
	}
	step.Detail("downloading " + strings.Join(unpacked, ", "))
	download := append([]string{"download"}, unpacked...)
	if err := aptGet(ctx, l.packages(), download...); err != nil {
		if err := aptGet(ctx, "", "update"); err != nil {
			return err
		}
		if err := aptGet(ctx, l.packages(), download...); err != nil {
			return err
		}
	}
	files, err := filepath.Glob(filepath.Join(l.packages(), "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		step.Detail("unpacking " + filepath.Base(file))
		if err := run(ctx, "dpkg-deb", "--extract", file, l.program("")); err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(file), err)
		}
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("remove package file: %w", err)
		}
	}
	return os.WriteFile(done, nil, 0o644)
}

func aptGet(ctx context.Context, dir string, arguments ...string) error {
	command := exec.CommandContext(ctx, "apt-get", append([]string{"--quiet"}, arguments...)...)
	command.Dir = dir
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	output, err := command.CombinedOutput()
	if err != nil {
		return fault.WithHint(fmt.Errorf("apt-get %s: %w: %s", arguments[0], err, lastLines(string(output), 3)),
			"check that `apt-get update` works on this machine, then run the same command again")
	}
	return nil
}

// recordPackages remembers what berth is about to bring.
func recordPackages(l layout, names []string) error {
	content, err := os.ReadFile(l.brought())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read which packages were installed: %w", err)
	}
	all := append(strings.Fields(string(content)), names...)
	slices.Sort(all)
	if err := replaceFile(l.brought(), []byte(strings.Join(slices.Compact(all), "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("record which packages are installed: %w", err)
	}
	return nil
}

// broughtPackages are those of the installed packages that berth brought to this
// machine, and that are there.
func broughtPackages(l layout) []string {
	content, err := os.ReadFile(l.brought())
	if err != nil {
		return nil
	}
	missing := missingPackages()
	return slices.DeleteFunc(strings.Fields(string(content)), func(name string) bool { return slices.Contains(missing, name) })
}

// missingPackages returns the packages that are yet to be installed.
func missingPackages() []string {
	var missing, ask []string
	for name, program := range installed {
		if program == "" {
			ask = append(ask, name)
		} else if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, name)
		}
	}
	// A package that was removed keeps an entry; for one that never was here the
	// program fails, and has told of the others.
	states, _ := exec.Command("dpkg-query", append([]string{"--show", "--showformat=${Package} ${db:Status-Status}\n"}, ask...)...).Output()
	there := strings.Split(string(states), "\n")
	return append(missing, slices.DeleteFunc(ask, func(name string) bool { return slices.Contains(there, name+" installed") })...)
}
