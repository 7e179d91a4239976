// Package s3gateway serves a folder over S3: the bucket of a local cluster.
package s3gateway

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

// NewCommand returns the command that serves until it is stopped. The keys come
// by the environment, as argv is everybody's to read. A second pair,
// USER_ACCESS_KEY_ID and USER_SECRET_ACCESS_KEY, may do what a bucket's policy lets
// its access key do, and nothing without one.
func NewCommand() *cobra.Command {
	var folder, listen, cert, key string
	command := &cobra.Command{
		Use:          "s3-gateway",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			access, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
			if access == "" || secret == "" {
				return errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set")
			}
			var options posix.PosixOpts
			options.SetNewDirPerm(0o700)
			options.SetNewFilePerm(0o600)
			backend, err := posix.New(folder, meta.XattrMeta{}, options)
			if err != nil {
				return fmt.Errorf("open %s: %w", folder, err)
			}
			root := auth.Account{Access: access, Secret: secret, Role: auth.RoleAdmin}
			user := auth.Account{Access: os.Getenv("USER_ACCESS_KEY_ID"), Secret: os.Getenv("USER_SECRET_ACCESS_KEY"), Role: auth.RoleUser}
			ctx, stop := signal.NotifyContext(command.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
				RootUserAccess: access,
				RootUserSecret: secret,
				IAMService:     accounts{auth.NewIAMServiceSingle(root), user},
				Region:         "us-east-1",
				Ports:          []string{listen},
				CertFile:       cert,
				KeyFile:        key,
				MaxConnections: 1024,
				MaxRequests:    512,
				// What S3 itself allows.
				MultipartMaxParts: 10_000,
				KeepAlive:         true,
				DisableACLs:       true,
				Quiet:             true,
			})
		},
	}
	flags := command.Flags()
	flags.StringVar(&folder, "root", "", "folder that holds the buckets")
	flags.StringVar(&listen, "listen", "127.0.0.1:7070", "address to serve on")
	flags.StringVar(&cert, "cert", "", "TLS certificate file")
	flags.StringVar(&key, "key", "", "TLS key file")
	return command
}

// accounts are the one of the keys that may do everything, and one more.
type accounts struct {
	auth.IAMService
	user auth.Account
}

func (a accounts) GetUserAccount(access string) (auth.Account, error) {
	if access != "" && access == a.user.Access && a.user.Secret != "" {
		return a.user, nil
	}
	return a.IAMService.GetUserAccount(access)
}

// ResolveAccounts returns those that do not exist.
func (a accounts) ResolveAccounts(keys []string) ([]string, error) {
	return a.IAMService.ResolveAccounts(slices.DeleteFunc(slices.Clone(keys), func(access string) bool {
		_, err := a.GetUserAccount(access)
		return err == nil
	}))
}
