package scaffold

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// kamal is what Kamal's config/deploy.yml says of an application.
type kamal struct {
	Servers any `yaml:"servers"`
	Proxy   struct {
		AppPort     int `yaml:"app_port"`
		Healthcheck struct {
			Path string `yaml:"path"`
		} `yaml:"healthcheck"`
	} `yaml:"proxy"`
	Env struct {
		Clear  map[string]yaml.Node `yaml:"clear"`
		Secret []string             `yaml:"secret"`
	} `yaml:"env"`
	Volumes     []string `yaml:"volumes"`
	Accessories map[string]struct {
		Image string `yaml:"image"`
	} `yaml:"accessories"`
}

// readKamal takes what Kamal's file says and no other did. Where it deploys to, and
// from which registry, is not the application's.
func (d *Draft) readKamal() error {
	name, text, err := d.source("config/deploy.yml")
	if err != nil || name == "" || len(d.Sources) == 0 {
		return err
	}
	var k kamal
	if err := yaml.Unmarshal(text, &k); err != nil {
		d.note(name, "is not read: %v", err)
		return nil
	}
	if k.Servers == nil && len(k.Env.Secret)+len(k.Env.Clear)+len(k.Volumes) == 0 {
		return nil // another tool's
	}
	d.Sources = append(d.Sources, name)
	for _, accessory := range sorted(k.Accessories) {
		switch image := imageName(k.Accessories[accessory].Image); {
		case postgresImage.MatchString(image):
			fill(&d.Database, "postgres")
		case valkeyImage.MatchString(image):
			d.addService(accessory)
		default:
			d.note(name, "accessory %s (%.60s) is left out: put the address of one that runs elsewhere under env or secrets", accessory, k.Accessories[accessory].Image)
		}
	}
	for _, secret := range k.Env.Secret {
		// "NAME:SOURCE" takes another name's value.
		secret, _, _ = strings.Cut(secret, ":")
		if isVariable(secret) && !others.MatchString(secret) && !d.knows(secret) {
			d.addSecret(secret)
		}
	}
	for _, variable := range sorted(k.Env.Clear) {
		if node := k.Env.Clear[variable]; node.Kind == yaml.ScalarNode {
			d.takeVariable(name, variable, node.Value)
		}
	}
	for _, volume := range k.Volumes {
		source, at, _ := strings.Cut(volume, ":")
		at, _, _ = strings.Cut(at, ":")
		if strings.HasPrefix(source, "/") {
			d.note(name, "volume %.60q is a folder of the machine: it becomes a volume, which begins empty", volume)
		}
		d.addVolume(source[strings.LastIndexByte(source, '/')+1:], at)
	}
	d.takeRoles(name, k.Servers)
	if !d.onlyWorks {
		fill(&d.Port, k.Proxy.AppPort)
		fill(&d.Health, k.Proxy.Healthcheck.Path)
	}
	return nil
}

// takeRoles takes the commands of the roles beside web.
func (d *Draft) takeRoles(file string, servers any) {
	roles, _ := servers.(map[string]any)
	for _, role := range sorted(roles) {
		settings, _ := roles[role].(map[string]any)
		command, _ := settings["cmd"].(string)
		switch {
		case command == "" || d.procfile:
		case role == "web":
			if d.Command.IsZero() {
				d.Command = d.docker.after(Command{List: strings.Fields(command)})
			}
		default:
			d.Processes[role] = Process{Command: d.docker.after(Command{List: strings.Fields(command)}), Replicas: 1}
		}
	}
}
