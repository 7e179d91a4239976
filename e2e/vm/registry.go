package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// process is a server that the trial runs.
type process struct {
	command *exec.Cmd
	ended   chan error
}

// start runs a server whose words go into a file.
func start(log, name string, arguments ...string) (*process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p := &process{exec.Command(name, arguments...), make(chan error, 1)}
	p.command.Stdout, p.command.Stderr = file, file
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { p.ended <- p.command.Wait() }()
	return p, nil
}

func (p *process) end() {
	p.command.Process.Kill() //nolint:errcheck // it ended by itself
	<-p.ended
}

// serveRegistry runs Debian's docker-registry for what the release makes.
func (t *trial) serveRegistry() (*process, error) {
	configuration := filepath.Join(t.home, "registry.yml")
	if err := os.WriteFile(configuration, fmt.Appendf(nil, `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %q}
`, filepath.Join(t.home, "registry"), registryAddress), 0o600); err != nil {
		return nil, err
	}
	registry, err := start(filepath.Join(t.home, "registry.log"), "docker-registry", "serve", configuration)
	if err != nil {
		return nil, err
	}
	for range 500 {
		if response, err := http.Get("http://" + registryAddress + "/v2/"); err == nil {
			response.Body.Close()
			return registry, nil
		}
		select {
		case err := <-registry.ended:
			registry.ended <- err // for end
			return nil, fmt.Errorf("the registry ended: %w; %s says why", err, filepath.Join(t.home, "registry.log"))
		case <-time.After(20 * time.Millisecond):
		}
	}
	registry.end()
	return nil, errors.New("the registry does not answer at " + registryAddress)
}
