package scaffold

import (
	"path"
	"regexp"
	"strings"
)

// readFrameworks takes what an application's framework says by its own files, where
// no other file has said it.
func (d *Draft) readFrameworks() error {
	if len(d.Sources) == 0 {
		return nil
	}
	d.readRails()
	d.readLaravel()
	d.readPhoenix()
	if imageName(d.docker.base) == "frankenphp" {
		d.Env["SERVER_NAME"] = ":80"
		d.note(d.Dockerfile, "SERVER_NAME is :80 for FrankenPHP, which would answer one name by HTTPS: TLS ends at the ingress controller")
		fill(&d.Port, 80)
	}
	if imageName(d.docker.base) == "php" && strings.Contains(d.docker.base, "fpm") && len(d.docker.ports) == 0 && d.Port == 0 {
		d.note(d.Dockerfile, "PHP-FPM speaks FastCGI on port 9000, and requests come by HTTP: the image needs a web server too, or FrankenPHP or Apache (php:apache) in its place")
	}
	return nil
}

// railsHealth is a route of Rails' own health check.
var railsHealth = regexp.MustCompile(`get\s*\(?\s*["']/?([\w/.-]+)["']\s*(?:=>|,\s*to:)\s*["']rails/health#show["']`)

func (d *Draft) readRails() {
	if !d.exists(d.inContext("config/application.rb")) && !d.exists(d.inContext("config/routes.rb")) {
		return
	}
	if found := railsHealth.FindStringSubmatch(d.readFile("config/routes.rb")); found != nil && !d.onlyWorks {
		fill(&d.Health, "/"+found[1])
	}
	if !d.knows("RAILS_MASTER_KEY") && !d.knows("SECRET_KEY_BASE") {
		if d.exists(d.inContext("config/credentials.yml.enc")) {
			d.addSecret("RAILS_MASTER_KEY")
		} else {
			d.addSecret("SECRET_KEY_BASE")
		}
	}
	settings := d.readFile("config/database.yml")
	if at := strings.Index(settings, "\nproduction:"); at >= 0 {
		settings = settings[at:] + settings[:at]
	}
	switch {
	case d.Database != "" || d.docker.base == "":
	case strings.Contains(settings, "storage/") && strings.Contains(d.readFile("config/database.yml"), "sqlite3"):
		folder := path.Join("/", d.docker.workdir, "storage")
		d.addVolume("storage", folder)
		d.note(d.inContext("config/database.yml"), "SQLite's files are in %s, so that is a volume; berth backs up a database that DATABASE_URL names, and not these files", folder)
	case strings.Contains(settings, "postgresql"):
		d.Database = "postgres"
	}
}

// laravelHealth is the route of Laravel's own health check.
var laravelHealth = regexp.MustCompile(`health:\s*['"](/[\w/-]+)['"]`)

func (d *Draft) readLaravel() {
	if !d.exists(d.inContext("artisan")) {
		return
	}
	if found := laravelHealth.FindStringSubmatch(d.readFile("bootstrap/app.php")); found != nil && !d.onlyWorks {
		fill(&d.Health, found[1])
	}
	if !d.knows("APP_KEY") {
		d.addSecret("APP_KEY")
	}
}

// phoenixNeeds is a variable without which a release of Phoenix ends.
var phoenixNeeds = regexp.MustCompile(`System\.(?:get_env\("(\w+)"\)\s*\|\|\s*raise|fetch_env!\("(\w+)"\))`)

func (d *Draft) readPhoenix() {
	settings := d.readFile("config/runtime.exs")
	if !d.exists(d.inContext("mix.exs")) || settings == "" {
		return
	}
	for _, found := range phoenixNeeds.FindAllStringSubmatch(settings, -1) {
		switch name := found[1] + found[2]; {
		case name == "DATABASE_URL" && strings.Contains(d.readFile("mix.exs"), ":postgrex"):
			fill(&d.Database, "postgres")
		case name == "DATABASE_PATH":
			fill(&d.Database, "sqlite")
			d.Env[name] = "/data/" + d.Name + ".db"
		case !d.knows(name) && isVariable(name) && name != "DATABASE_URL":
			d.addSecret(name)
		}
	}
	if strings.Contains(settings, `"PHX_HOST"`) && !d.onlyWorks && !d.knows("PHX_HOST") {
		d.HostVariables = append(d.HostVariables, "PHX_HOST")
	}
	if d.exists(d.inContext("rel/overlays/bin/migrate")) && d.docker.workdir != "" {
		if d.Release.IsZero() {
			d.Release = Command{List: []string{path.Join(d.docker.workdir, "bin/migrate")}}
		}
	}
}
