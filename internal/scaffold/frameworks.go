package scaffold

import (
	"path"
	"regexp"
	"slices"
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

// migrations are what frameworks keep the changes of a database in, and the command
// that makes them.
var migrations = []struct{ files, command string }{
	{"prisma/migrations/*/migration.sql", "npx prisma migrate deploy"},
	{"migrations/alembic.ini", "flask db upgrade"},
	{"alembic.ini", "alembic upgrade head"},
	{"manage.py", "python manage.py migrate --noinput"},
	{"db/migrate/*.rb", "bin/rails db:migrate"},
	{"artisan", "php artisan migrate --force"},
	{"migrations/Version*.php", "php bin/console doctrine:migrations:migrate --no-interaction"},
	{"priv/repo/migrations/*.exs", "bin/migrate"},
}

// noteMigrations says how a database would be migrated, where no file does.
func (d *Draft) noteMigrations() error {
	if d.Database == "" || !d.Release.IsZero() || len(d.Sources) == 0 {
		return nil
	}
	for _, m := range migrations {
		if len(d.glob(path.Join(d.Context, m.files))) > 0 {
			d.note(path.Join(d.Context, strings.TrimSuffix(strings.SplitN(m.files, "*", 2)[0], "/")), "no file says what migrates the database; most often it is release: {command: %s}", m.command)
			return nil
		}
	}
	return nil
}

// noteMade says which secrets only their owner can make.
func (d *Draft) noteMade() error {
	for name, how := range map[string]string{
		"RAILS_MASTER_KEY": "is what config/master.key has, and none that berth makes up opens the credentials: put it into .env",
		"APP_KEY":          "is what php artisan key:generate --show prints, and none that berth makes up has its form: put it into .env",
	} {
		if slices.Contains(d.Secrets, name) && !slices.Contains(d.fromEnv, name) && (name != "APP_KEY" || d.exists(d.inContext("artisan"))) {
			d.note("berth.yaml", "%s %s", name, how)
		}
	}
	return nil
}
