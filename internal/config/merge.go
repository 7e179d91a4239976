package config

import "go.yaml.in/yaml/v3"

// merge writes out what mappings merge by the key <<, as
// https://yaml.org/type/merge.html has it: a key of their own wins, then that of the
// first of several mappings.
func (m *mistakes) merge(node *yaml.Node) {
	merger{mistakes: m, expanded: map[*yaml.Node]bool{}}.expand(node)
}

type merger struct {
	*mistakes
	// expanded are the nodes that have been begun, and whether they are done: a
	// mapping may be named in several places, and in itself.
	expanded map[*yaml.Node]bool
}

// expand does so with a node and all below it.
func (m merger) expand(node *yaml.Node) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if _, begun := m.expanded[node]; begun {
		return
	}
	m.expanded[node] = false
	defer func() { m.expanded[node] = true }()
	if node.Kind != yaml.MappingNode {
		for _, item := range node.Content {
			m.expand(item)
		}
		return
	}
	have := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		have[node.Content[i].Value] = true
	}
	var content []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		m.expand(value)
		if key.Tag != "!!merge" {
			content = append(content, key, value)
			continue
		}
		sources := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			sources = value.Content
		}
		for _, source := range sources {
			if source.Kind == yaml.AliasNode {
				source = source.Alias
			}
			if source.Kind != yaml.MappingNode || !m.expanded[source] {
				m.found = append(m.found, mistake{key.Line, "<<: must be another mapping, like *common, or a list of them"})
				continue
			}
			for j := 0; j+1 < len(source.Content); j += 2 {
				if name := source.Content[j].Value; !have[name] {
					have[name] = true
					content = append(content, source.Content[j], source.Content[j+1])
				}
			}
		}
	}
	node.Content = content
}
