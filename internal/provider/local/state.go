package local

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// state is what a cluster is by now. It is written before what it tells of is
// made, so that an interruption leaves nothing that nobody knows.
type state struct {
	Nodes   []int  `json:"nodes"`
	Size    string `json:"size,omitempty"`
	Network string `json:"network"`
	// Kubernetes is the compiled binary that the cluster runs.
	Kubernetes string `json:"kubernetes,omitempty"`
	// Images that the cluster itself runs, by name.
	Images map[string]string `json:"images"`
}

func (p *Provider) loadState() (state, error) {
	var s state
	content, err := os.ReadFile(p.layout.cluster())
	if err == nil {
		err = json.Unmarshal(content, &s)
	}
	return s, err
}

func (p *Provider) saveState(s state) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.layout.in(), 0o700); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	if err := replaceFile(p.layout.cluster(), append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("record the cluster's state: %w", err)
	}
	return nil
}

// has reports whether a node of the number is wanted.
func (s state) has(number int) bool { return slices.Contains(s.Nodes, number) }
