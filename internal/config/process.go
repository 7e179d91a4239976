package config

import (
	"time"
	_ "time/tzdata" // the time zones, on any machine

	"go.yaml.in/yaml/v3"
)

// Release is the command that runs once for each new revision, before any of its
// pods.
type Release struct {
	Command Command `yaml:"command"`
	// Timeout is how long it may take.
	Timeout Duration `yaml:"timeout"`
}

// Process is a part of the application that serves no requests: a worker, or a
// cron job when it has a schedule.
type Process struct {
	Command Command `yaml:"command"`
	// Replicas of a worker. [Config.ReplicasOf] knows those of an environment.
	Replicas int `yaml:"replicas"`
	// Schedule is a cron expression of five fields; empty for a worker.
	Schedule string `yaml:"schedule"`
	// TimeZone of the schedule, as "Europe/Berlin".
	TimeZone string `yaml:"timeZone"`
	// Deadline is how long one run of a cron job may take.
	Deadline Duration `yaml:"deadline"`
	// Resources go before the application's.
	Resources Resources `yaml:"resources"`
	// Env is laid over the environment's.
	Env map[string]string `yaml:"env"`
}

// UnmarshalYAML tells no replicas from none said.
func (p *Process) UnmarshalYAML(node *yaml.Node) error {
	type plain Process
	*p = Process{Replicas: 1}
	return node.Decode((*plain)(p))
}

// Scheduled reports whether the process is a cron job.
func (p Process) Scheduled() bool { return p.Schedule != "" }

// ReplicasOf returns how many pods of a process there are in an environment.
func (c *Config) ReplicasOf(environment, process string) int {
	if own, ok := c.Environments[environment].Processes[process]; ok {
		return own
	}
	return c.Processes[process].Replicas
}

func (c *Config) validateProcess(m *mistakes, name string, p Process) {
	at := "processes." + name
	if name == "web" {
		m.add(at, "is the process that has the port: its command, health and env stand at the top of the file")
	} else {
		c.validateObject(m, at, name)
	}
	checkCommand(m, at+".command", p.Command)
	c.validateResources(m, at+".resources", p.Resources)
	c.validateVariables(m, at+".", p.Env, nil)
	if !p.Scheduled() {
		if p.Replicas < 0 {
			m.add(at+".replicas", "must be 0 or more; it is %d", p.Replicas)
		}
		for _, key := range []string{"timeZone", "deadline"} {
			if m.has(at + "." + key) {
				m.add(at+"."+key, "must be left out where there is no schedule")
			}
		}
		return
	}
	if m.has(at + ".replicas") {
		m.add(at+".replicas", "must be left out where there is a schedule: a cron job runs one at a time")
	}
	if problem := notASchedule(p.Schedule); problem != "" {
		m.add(at+".schedule", "must be five fields of cron like \"0 3 * * *\"; %s", problem)
	}
	// "Local" would be the zone of whatever machine berth runs on.
	if _, err := time.LoadLocation(p.TimeZone); err != nil || p.TimeZone == "Local" {
		m.add(at+".timeZone", "must be a time zone like Europe/Berlin; it is %q", p.TimeZone)
	}
}
