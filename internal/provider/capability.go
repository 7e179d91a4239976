package provider

import (
	"context"

	"berth/internal/prebuilt"
	"berth/internal/progress"
)

// What some providers can do and others cannot. Commands ask for it by type.

// Stopper is a provider whose cluster can be stopped without losing anything.
// Init starts it again.
type Stopper interface {
	Stop(ctx context.Context, r progress.Reporter) error
}

// Purger is a provider that can restore a machine to its state before, except for
// what it names.
type Purger interface {
	Purge(ctx context.Context, r progress.Reporter) (kept []string, err error)
}

// Pruner is a provider that keeps images itself and can remove those that
// nothing needs any more.
type Pruner interface {
	// Prune removes every image of berth's that needed does not name. It does
	// nothing while another command publishes or releases one.
	Prune(ctx context.Context, needed func(context.Context) ([]string, error)) error
}

// Checker is a provider that can say what is missing without changing anything.
type Checker interface {
	Check(ctx context.Context) []Check
}

// Check is one thing that a provider needs, and whether it is there.
type Check struct {
	// Name says what was looked at: "disk space".
	Name string `json:"name"`
	// Problem is what is wrong; empty when nothing is.
	Problem string `json:"problem,omitempty"`
	// Remedy is the command or sentence that fixes it.
	Remedy string `json:"remedy,omitempty"`
}

// Rooted is a provider that may need root. An ordinary user is asked for it before
// anything is done.
type Rooted interface{ NeedsRoot() bool }

// Installer is a provider that installs packages on the machine.
type Installer interface{ MissingPackages() []string }

// ReleaseTaker is a provider that compiles what it runs, unless a release of berth
// has it already.
type ReleaseTaker interface{ TakeFrom(*prebuilt.Release) }

// Namer is a provider that makes the hosts' DNS records. It can do so only when
// the platform is installed, which is when the ingress has an address.
type Namer interface {
	MakeRecords(ctx context.Context, r progress.Reporter) error
}

// BucketRemover is a provider whose Destroy keeps the bucket.
type BucketRemover interface {
	// RemoveBucket removes the bucket with everything in it, for good. It is
	// called after Destroy, and names what is kept still.
	RemoveBucket(ctx context.Context, r progress.Reporter) (kept []string, err error)
}
