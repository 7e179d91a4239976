package scaffold

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// sayWhatIsMissing notes what the services ask for that an application's pods
// do not get, once for all that ask for it.
func (c *compose) sayWhatIsMissing() {
	asking := map[string][]string{}
	var order []string
	for _, name := range c.parts {
		for _, text := range missing(c.services[name]) {
			if asking[text] == nil {
				order = append(order, text)
			}
			asking[text] = append(asking[text], name)
		}
	}
	for _, text := range order {
		c.note(c.file, "%s: %s", strings.Join(asking[text], ", "), text)
	}
	for _, m := range c.mounts {
		if asking[m.text] == nil {
			for _, other := range c.mounts {
				if other.text == m.text {
					asking[m.text] = append(asking[m.text], other.service)
				}
			}
			c.note(c.file, "%s: %s", strings.Join(asking[m.text], ", "), m.text)
		}
	}
	for _, name := range c.parts {
		if user := c.services[name].User; containerUser.MatchString(user) {
			fill(&c.User, user)
		}
	}
}

// missing returns what a service asks for and does not get. What is not here is
// either carried over or has no meaning on Kubernetes, as the order of starting
// and what is started again.
func missing(s types.ServiceConfig) []string {
	var texts []string
	note := func(asked bool, format string, arguments ...any) {
		if asked {
			texts = append(texts, fmt.Sprintf(format, arguments...))
		}
	}
	note(s.Privileged, "privileged: pods run without privileges")
	note(len(s.CapAdd) > 0, "cap_add %s: pods get no capabilities; ports below 1024 need none", strings.Join(s.CapAdd, ", "))
	note(len(s.Devices) > 0, "devices: pods get none of the machine's")
	note(len(s.Gpus) > 0, "gpus: there are none")
	note(s.NetworkMode != "", "network_mode %s: pods have a network of their own", s.NetworkMode)
	note(len(s.Networks) > 1 || len(s.Networks) == 1 && !hasKey(s.Networks, "default"), "networks: the processes, database and services of an environment reach each other, and no other environment's")
	note(s.Pid != "" || s.Ipc != "" || s.Uts != "" || s.UserNSMode != "", "pid, ipc, uts and userns_mode: pods have their own")
	note(len(s.ExtraHosts) > 0, "extra_hosts: names come from DNS alone")
	note(len(s.DNS) > 0 || len(s.DNSSearch) > 0 || len(s.DNSOpts) > 0, "dns: the cluster's is used")
	note(len(s.Sysctls) > 0, "sysctls: they are the nodes'")
	note(len(s.Ulimits) > 0, "ulimits: they are the container runtime's")
	note(len(slices.DeleteFunc(slices.Clone(s.SecurityOpt), func(o string) bool { return strings.HasPrefix(o, "no-new-privileges") })) > 0, "security_opt: pods have the runtime's default profile")
	note(len(s.GroupAdd) > 0, "group_add: user takes one uid and one gid")
	note(s.ShmSize > 0, "shm_size: /dev/shm has 64 MB")
	note(len(s.Configs) > 0, "configs: put the files into the image, or their content under env")
	note(len(s.Secrets) > 0, "secrets: they come as environment variables, from .env, not as files below /run/secrets")
	note(len(s.ExternalLinks) > 0 || len(s.VolumesFrom) > 0, "external_links and volumes_from: nothing is shared with other projects")
	note(s.Runtime != "", "runtime %s: the cluster has one", s.Runtime)
	note(s.WorkingDir != "", "working_dir %s: the image's WORKDIR is used", s.WorkingDir)
	note(s.StopGracePeriod != nil, "stop_grace_period: the chart's is used; values.terminationGracePeriodSeconds changes it")
	note(len(s.PreStart) > 0 || len(s.PostStart) > 0 || len(s.PreStop) > 0, "hooks: only release.command runs beside the processes")
	note(len(s.Models) > 0 || s.Provider != nil, "models and provider: berth has none")
	note(s.User != "" && !containerUser.MatchString(s.User), "user %s: must be a number; id -u in the image tells it", s.User)
	return texts
}
