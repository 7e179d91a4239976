package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
)

// dockerConfig is what a config.json of docker's says of registries.
type dockerConfig struct {
	Auths       map[string]json.RawMessage `json:"auths,omitempty"`
	CredHelpers map[string]string          `json:"credHelpers,omitempty"`
	CredsStore  string                     `json:"credsStore,omitempty"`
}

// mergeLogins writes a config.json into folder with the user's own logins and
// those of another file.
func mergeLogins(folder, more string) error {
	var user, other dockerConfig
	if err := readDockerConfig(userConfig(), &user); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := readDockerConfig(more, &other); err != nil {
		return err
	}
	if user.Auths == nil {
		user.Auths = map[string]json.RawMessage{}
	}
	// A store would be asked for every registry, and does not know of the other
	// logins: it stays for the registries that it was filled for.
	if user.CredsStore != "" {
		if user.CredHelpers == nil {
			user.CredHelpers = map[string]string{}
		}
		for registry := range user.Auths {
			if user.CredHelpers[registry] == "" {
				user.CredHelpers[registry] = user.CredsStore
			}
		}
		user.CredsStore = ""
	}
	for registry := range other.Auths {
		delete(user.CredHelpers, registry)
	}
	maps.Copy(user.Auths, other.Auths)
	content, err := json.Marshal(user)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "config.json"), content, 0o600); err != nil {
		return fmt.Errorf("write logins: %w", err)
	}
	return nil
}

// userConfig is where docker login writes.
func userConfig() string {
	folder := os.Getenv("DOCKER_CONFIG")
	if folder == "" {
		home, _ := os.UserHomeDir() // none is as good as no file
		folder = filepath.Join(home, ".docker")
	}
	return filepath.Join(folder, "config.json")
}

func readDockerConfig(file string, to *dockerConfig) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read logins: %w", err)
	}
	if err := json.Unmarshal(content, to); err != nil {
		return fmt.Errorf("read logins in %s: %w", file, err)
	}
	return nil
}
