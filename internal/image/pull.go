package image

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"berth/internal/fault"
)

// ErrNoLogin is returned for an image that not everybody may pull, where there
// is no login that a cluster could use.
var ErrNoLogin = errors.New("no login")

// lookTime bounds how long a registry has to say whether an image can be pulled.
const lookTime = 15 * time.Second

// PullLogins returns a .dockerconfigjson with the operator's own logins for those
// of the images that not everybody may pull; nil when all may. The logins are
// those of docker, podman and buildah, in their files or in the programs that
// keep them. A registry that this machine does not reach is left to the cluster.
func PullLogins(ctx context.Context, references ...string) ([]byte, error) {
	type entry struct {
		Auth string `json:"auth"`
	}
	auths := map[string]entry{}
	for _, one := range references {
		server, login, err := pullLogin(ctx, one)
		if err != nil {
			return nil, err
		}
		if login != auth.EmptyCredential {
			auths[server] = entry{base64.StdEncoding.EncodeToString([]byte(login.Username + ":" + login.Password))}
		}
	}
	if len(auths) == 0 {
		return nil, nil
	}
	return json.Marshal(map[string]any{"auths": auths}) // in the order of its keys
}

// pullLogin returns the login for one image, and the name that Kubernetes looks
// it up by.
func pullLogin(ctx context.Context, image string) (server string, login auth.Credential, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	named, err := reference.ParseDockerRef(image)
	if err != nil {
		return "", login, fault.Usage("image %q: %w", image, err)
	}
	switch open, err := pulls(ctx, named, auth.EmptyCredential); {
	case errors.Is(err, errNotReached), err == nil && open:
		return "", login, nil
	case err != nil:
		return "", login, err
	}
	host := reference.Domain(named)
	server, login, err = loginFor(ctx, named)
	if err != nil {
		return "", login, fmt.Errorf("read the login for %s: %w", host, err)
	}
	switch {
	case login.Username == "" || login.Password == "":
		return "", auth.EmptyCredential, fault.WithHint(
			fmt.Errorf("image %s is private or does not exist, and there is %w for %s for the cluster to use", image, ErrNoLogin, host),
			"docker login %s, or podman or buildah login, with a user name and a token that may read packages; or make the package public", host)
	case temporary(login):
		return "", auth.EmptyCredential, fault.WithHint(
			fmt.Errorf("image %s is private, and there is %w for %s except one that expires soon, so pods could not be pulled later", image, ErrNoLogin, host),
			"deploy once with a login by a token that lasts and may read packages, which the cluster keeps; or make the package public")
	}
	may, err := pulls(ctx, named, login)
	if errors.Is(err, errNotReached) {
		return "", auth.EmptyCredential, nil
	}
	if err == nil && !may {
		err = fault.WithHint(fmt.Errorf("image %s cannot be pulled by the login for %s as %s", image, host, login.Username),
			"check that the image is there and that the login's token may read it: docker login %s", host)
	}
	return server, login, err
}

// errNotReached is returned for a registry that does not answer here.
var errNotReached = errors.New("the registry is not reached")

// pulls reports whether a login may pull an image.
func pulls(ctx context.Context, named reference.Named, login auth.Credential) (bool, error) {
	repository, err := remote.NewRepository(reference.Domain(named) + "/" + reference.Path(named))
	if err != nil {
		return false, fault.Usage("image %q: %w", named, err)
	}
	host, _, err := net.SplitHostPort(reference.Domain(named))
	if err != nil {
		host = reference.Domain(named)
	}
	ip := net.ParseIP(host)
	repository.PlainHTTP = host == "localhost" || ip != nil && ip.IsLoopback() // as for docker
	repository.Client = &auth.Client{
		Client:     &http.Client{Timeout: lookTime},
		Credential: func(context.Context, string) (auth.Credential, error) { return login, nil },
	}
	at := ""
	switch named := named.(type) {
	case reference.Digested:
		at = named.Digest().String()
	case reference.Tagged:
		at = named.Tag()
	}
	_, err = repository.Resolve(ctx, at)
	var refused *errcode.ErrorResponse
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() == context.Canceled:
		return false, ctx.Err()
	case errors.As(err, &refused) && refused.StatusCode < http.StatusInternalServerError && refused.StatusCode != http.StatusTooManyRequests,
		strings.Contains(err.Error(), "not found"), errors.Is(err, auth.ErrBasicCredentialNotFound):
		return false, nil
	}
	return false, errors.Join(errNotReached, err)
}

// loginFor looks for the login of an image's registry, as podman does for the
// repository and what is above it, too.
func loginFor(ctx context.Context, named reference.Named) (server string, login auth.Credential, err error) {
	host := reference.Domain(named)
	keys := []string{}
	for path := host + "/" + reference.Path(named); path != host; path = path[:strings.LastIndexByte(path, '/')] {
		keys = append(keys, path)
	}
	keys = append(keys, credentials.ServerAddressFromRegistry(host))
	for _, file := range loginFiles() {
		if _, err := os.Stat(file); err != nil {
			continue
		}
		store, err := credentials.NewStore(file, credentials.StoreOptions{})
		if err != nil {
			return "", login, fmt.Errorf("%s: %w", file, err)
		}
		for _, key := range keys {
			login, err := store.Get(ctx, key)
			if err != nil {
				return "", login, err
			}
			if login != auth.EmptyCredential {
				return key, login, nil
			}
		}
	}
	return "", login, nil
}

// loginFiles are where docker, podman and buildah keep logins, in the order in
// which they are looked at.
func loginFiles() []string {
	files := []string{os.Getenv("REGISTRY_AUTH_FILE"), userConfig()}
	if run := os.Getenv("XDG_RUNTIME_DIR"); run != "" {
		files = append(files, filepath.Join(run, "containers", "auth.json"))
	} else {
		files = append(files, fmt.Sprintf("/run/containers/%d/auth.json", os.Getuid()))
	}
	if folder, err := os.UserConfigDir(); err == nil {
		files = append(files, filepath.Join(folder, "containers", "auth.json"))
	}
	return slices.DeleteFunc(files, func(file string) bool { return file == "" })
}

// temporary reports whether a login ends within the hours: GitHub's for a job,
// Google's, Amazon's and Azure's access tokens.
func temporary(login auth.Credential) bool {
	return strings.HasPrefix(login.Password, "ghs_") ||
		slices.Contains([]string{"oauth2accesstoken", "AWS", "00000000-0000-0000-0000-000000000000"}, login.Username)
}
